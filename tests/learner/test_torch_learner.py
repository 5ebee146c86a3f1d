"""The update: equal to the textbook computation, whatever the packing; and resumed without a trace."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from spice.config import LearnerConfig, LoraConfig  # noqa: E402
from spice.errors import TrainingError  # noqa: E402
from spice.learner.base import Trajectory  # noqa: E402
from spice.learner.torch_learner import TorchLearner  # noqa: E402
from spice.models.loading import load_model  # noqa: E402

BUDGETS = {"challenger": 8, "reasoner": 8}
PLAIN = {"learning_rate": 1e-3, "precision": "float32", "gradient_checkpointing": False}


def batch(model, seed=0, words=True):
    """Trajectories with shared prompts, repeated answers, both roles and some grammar bits."""
    rng = np.random.default_rng(seed)
    vocabulary = model.config.vocab_size
    trajectories = []
    for role, temperature in (("challenger", 0.8), ("reasoner", 0.8)):
        for _ in range(3):
            prompt = (5, 6, 7, 8, *rng.integers(10, 200, 4).tolist())
            for _ in range(3):
                answer = tuple(rng.integers(10, 14, 3).tolist())
                bits = np.full((3, (vocabulary + 31) // 32), 0xFFFFFFFF, dtype=np.uint32)
                bits[:, 10] = 0
                trajectories.append(
                    Trajectory(
                        role, prompt, answer, np.zeros(3, np.float32), float(rng.normal()), temperature,
                        bits if role == "challenger" and words else None,
                    )
                )  # fmt: skip
    return trajectories


def plain_logprobs(model, t):
    ids = torch.tensor([t.prompt + t.tokens])
    n = ids.shape[1]
    mask = torch.ones(n, n, dtype=torch.bool).tril()[None, None]
    logits = model(input_ids=ids, attention_mask=mask).logits[0, len(t.prompt) - 1 : -1] / t.temperature
    if t.allowed is not None:
        open_ = np.unpackbits(t.allowed.view(np.uint8), axis=1, bitorder="little")[:, : logits.shape[1]]
        logits = logits.masked_fill(torch.from_numpy(open_ == 0), float("-inf"))
    return logits.log_softmax(-1).gather(1, torch.tensor(t.tokens)[:, None])[:, 0]


def engine_view(model, trajectories):
    """The same trajectories with the log-probabilities that an exact engine would report."""
    with torch.no_grad():
        return [
            Trajectory(
                t.role, t.prompt, t.tokens, plain_logprobs(model, t).numpy(), t.advantage, t.temperature, t.allowed
            )
            for t in trajectories
        ]


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_several_threads_give_the_same_bytes_again_and_again(tiny_folder, two_threads):
    rng = np.random.default_rng(0)
    # Many answers to one question: threads that add up its gradient in the order in which they come would be seen.
    answers = [
        Trajectory(
            "reasoner", (5, 6, 7), tuple(rng.integers(10, 200, 8).tolist()),
            np.zeros(8, np.float32), float(rng.normal()), 1.0,
        )
        for _ in range(300)
    ]  # fmt: skip
    found = []
    for _ in range(4):
        learner = TorchLearner(load_model(tiny_folder, "float32"), LearnerConfig(**PLAIN), BUDGETS)
        learner.update(answers, 1)
        found.append({name: weight.clone() for name, weight in learner.weights().items()})
    assert all(weight.equal(again[name]) for again in found[1:] for name, weight in found[0].items())


def test_packed_gradient_is_the_textbook_gradient(tiny_folder):
    model = load_model(tiny_folder, "float32")
    trajectories = engine_view(model, batch(model))
    counts = {role: sum(t.role == role for t in trajectories) for role in BUDGETS}
    loss = sum(
        -(t.advantage * (plain_logprobs(model, t) - torch.from_numpy(t.logprobs)).exp()).sum()
        / (counts[t.role] * BUDGETS[t.role])
        for t in trajectories
    )
    loss.backward()
    wanted = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    learner = TorchLearner(model, LearnerConfig(**PLAIN, max_grad_norm=1e9), BUDGETS)
    stats = learner.update(trajectories, 1)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, wanted[name], atol=1e-6, rtol=1e-4)
    assert stats.loss == pytest.approx(float(loss.detach()), abs=1e-5)
    assert stats.logprob_gap_max < 1e-5


@pytest.mark.parametrize("budget", [64, 70, 128])
def test_accumulated_micro_batches_equal_one_large_batch(tiny_folder, budget):
    after = []
    for tokens in (100_000, budget):
        model = load_model(tiny_folder, "float32")
        learner = TorchLearner(model, LearnerConfig(**PLAIN, microbatch_tokens=tokens), BUDGETS)
        learner.update(engine_view(model, batch(model)), 1)
        after.append({name: p.grad.clone() for name, p in model.named_parameters()})
    for name in after[0]:
        torch.testing.assert_close(after[0][name], after[1][name], atol=1e-7, rtol=1e-4)


def test_what_has_no_advantage_counts_but_is_not_computed(tiny_folder):
    after, computed = [], []
    for idle in (1e-12, 0.0):
        model = load_model(tiny_folder, "float32")
        trajectories = engine_view(model, batch(model))
        trajectories = [replace(t, advantage=idle) if i % 2 else t for i, t in enumerate(trajectories)]
        learner = TorchLearner(model, LearnerConfig(**PLAIN), BUDGETS)
        computed.append(learner.update(trajectories, 1).tokens)
        after.append({name: p.grad.clone() for name, p in model.named_parameters()})
    for name in after[0]:
        torch.testing.assert_close(after[0][name], after[1][name], atol=1e-7, rtol=1e-4)
    assert computed[1] < computed[0]


def test_gradient_checkpointing_changes_nothing(tiny_folder):
    after = []
    for on in (False, True):
        model = load_model(tiny_folder, "float32")
        learner = TorchLearner(model, LearnerConfig(**{**PLAIN, "gradient_checkpointing": on}), BUDGETS)
        learner.update(engine_view(model, batch(model)), 1)
        after.append({name: p.detach().clone() for name, p in model.named_parameters()})
    for name in after[0]:
        torch.testing.assert_close(after[0][name], after[1][name])


def test_an_update_makes_rewarded_tokens_likelier_and_the_others_rarer(tiny_folder):
    model = load_model(tiny_folder, "float32")
    trajectories = engine_view(model, batch(model, words=False))
    learner = TorchLearner(model, LearnerConfig(**PLAIN), BUDGETS)
    learner.update(trajectories, 1)
    moved = learner.logprobs(trajectories)
    gain = sum(t.advantage * float((m - torch.from_numpy(t.logprobs)).sum()) for t, m in zip(trajectories, moved))
    assert gain > 0


def test_the_clip_stops_further_steps(tiny_folder):
    model = load_model(tiny_folder, "float32")
    trajectories = engine_view(model, batch(model, words=False))
    learner = TorchLearner(model, LearnerConfig(**{**PLAIN, "learning_rate": 3e-2}), BUDGETS)
    assert learner.update(trajectories, 1).clipped_share == 0.0
    assert learner.update(trajectories, 3).clipped_share > 0.5


@pytest.mark.parametrize("rank", [0, 4])
def test_save_and_load_leave_no_trace(tiny_folder, tmp_path, rank):
    config = LearnerConfig(**PLAIN, lora=LoraConfig(rank=rank))

    def fresh():
        torch.manual_seed(3)
        return TorchLearner(load_model(tiny_folder, "float32"), config, BUDGETS)

    base = load_model(tiny_folder, "float32")
    first, second = (engine_view(base, batch(base, seed)) for seed in (1, 2))
    through = fresh()
    through.update(first, 1)
    through.capture().write(tmp_path)
    through.update(second, 1)
    resumed = fresh()
    resumed.load(tmp_path)
    resumed.update(second, 1)
    for name, tensor in through.weights().items():
        assert torch.equal(tensor, resumed.weights()[name]), name


def test_adapters_leave_the_base_alone_and_merge_to_plain_names(tiny_folder):
    base = load_model(tiny_folder, "float32")
    before = {name: p.clone() for name, p in base.named_parameters()}
    model = load_model(tiny_folder, "float32")
    trajectories = engine_view(base, batch(base))
    learner = TorchLearner(model, LearnerConfig(**PLAIN, lora=LoraConfig(rank=4)), BUDGETS)
    for name, tensor in learner.weights().items():
        torch.testing.assert_close(tensor, before[name], msg=name)
    for _ in range(3):
        learner.update(trajectories, 1)
    merged = learner.weights()
    assert merged.keys() == before.keys()
    changed = [name for name in merged if not torch.equal(merged[name], before[name])]
    assert changed and all("proj" in name for name in changed)
    plain = load_model(tiny_folder, "float32")
    plain.load_state_dict(dict(merged), strict=False)
    with torch.no_grad():
        wanted = [plain_logprobs(plain, t) for t in trajectories]
    for got, want in zip(learner.logprobs(trajectories), wanted):
        torch.testing.assert_close(got, want, atol=1e-5, rtol=1e-4)


def test_saved_state_of_another_model_is_refused(tiny_folder, tmp_path):
    full = TorchLearner(load_model(tiny_folder, "float32"), LearnerConfig(**PLAIN), BUDGETS)
    full.capture().write(tmp_path)
    other = TorchLearner(load_model(tiny_folder, "float32"), LearnerConfig(**PLAIN, lora=LoraConfig(rank=2)), BUDGETS)
    with pytest.raises(TrainingError, match="other adapters"):
        other.load(tmp_path)


def test_nothing_to_learn_from_is_an_error(tiny_folder):
    with pytest.raises(TrainingError, match="no trajectories"):
        TorchLearner(load_model(tiny_folder, "float32"), LearnerConfig(**PLAIN), BUDGETS).update([], 1)
