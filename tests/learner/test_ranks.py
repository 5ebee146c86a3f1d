"""Several ranks with the plain learner: the update of one, and a state that any number of them can take up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from spice.config import LearnerConfig  # noqa: E402
from spice.learner.ranks import ALONE, LostRankError, Ranks  # noqa: E402
from spice.learner.torch_learner import TorchLearner  # noqa: E402
from spice.models.loading import load_model  # noqa: E402

pytestmark = pytest.mark.integration
PLAIN: dict[str, Any] = {
    "learning_rate": 1e-3,
    "precision": "float32",
    "gradient_checkpointing": False,
    "microbatch_tokens": 64,
}


def numbers(learner: TorchLearner) -> dict[str, Any]:
    """Weights as arrays, which pass between processes without shared memory."""
    return {name: weight.numpy().copy() for name, weight in learner.weights().items()}


@pytest.mark.parametrize("size", [2, 3])
def test_the_update_of_many_ranks_is_that_of_one(tiny_folder, budgets, some_batch, on_ranks, size):
    def learned(ranks: Ranks) -> Any:
        learner = TorchLearner(load_model(tiny_folder, "float32"), LearnerConfig(**PLAIN), budgets, ranks)
        return learner.update(some_batch(), 2), numbers(learner)

    stats, wanted = learned(ALONE)
    found = on_ranks(size, learned)
    for theirs, weights in found:
        for name, weight in wanted.items():
            torch.testing.assert_close(torch.from_numpy(weights[name]), torch.from_numpy(weight), atol=2e-5, rtol=1e-3)
        for figure in ("loss", "grad_norm", "mismatch_kl", "importance_ess", "clipped_share", "logprob_gap_max"):
            assert getattr(theirs, figure) == pytest.approx(getattr(stats, figure), rel=1e-3, abs=1e-6), figure
        assert theirs.role_norms == pytest.approx(stats.role_norms, rel=1e-4)
    assert {theirs.loss for theirs, _ in found} == {found[0][0].loss}, "all ranks report the same"


def test_a_rank_without_a_trajectory_learns_what_the_others_learn(tiny_folder, budgets, some_batch, on_ranks):
    def learned(ranks: Ranks) -> Any:
        learner = TorchLearner(load_model(tiny_folder, "float32"), LearnerConfig(**PLAIN), budgets, ranks)
        learner.update(some_batch()[-1:], 1)
        return numbers(learner)

    wanted = learned(ALONE)
    for weights in on_ranks(2, learned):
        for name, weight in wanted.items():
            torch.testing.assert_close(torch.from_numpy(weights[name]), torch.from_numpy(weight), atol=2e-5, rtol=1e-3)


@pytest.mark.parametrize(("before", "after"), [(2, 2), (2, 1), (1, 3)])
def test_any_number_of_ranks_takes_a_state_up(tiny_folder, budgets, some_batch, on_ranks, tmp_path, before, after):
    config = LearnerConfig(**PLAIN)

    def begin(ranks: Ranks) -> Any:
        learner = TorchLearner(load_model(tiny_folder, "float32"), config, budgets, ranks)
        learner.update(some_batch(1), 1)
        learner.capture().write(tmp_path)
        ranks.gather(b"written")
        learner.update(some_batch(2), 1)
        return numbers(learner)

    def go_on(ranks: Ranks) -> Any:
        learner = TorchLearner(load_model(tiny_folder, "float32"), config, budgets, ranks)
        learner.load(tmp_path)
        learner.update(some_batch(2), 1)
        return numbers(learner)

    wanted = on_ranks(before, begin)[0]
    parts = sorted(path.name for path in Path(tmp_path).glob("*.safetensors"))
    assert len(parts) == before
    for weights in on_ranks(after, go_on):
        for name, weight in wanted.items():
            if before == after:
                assert (weights[name] == weight).all(), f"{name} differs by a bit"
            torch.testing.assert_close(torch.from_numpy(weights[name]), torch.from_numpy(weight), atol=2e-5, rtol=1e-3)


def test_ranks_tell_gather_and_add(on_ranks):
    def talk(ranks: Ranks) -> Any:
        tensors = [torch.full((3,), float(ranks.rank)), torch.ones(2, 2)]
        ranks.add(tensors)
        largest = torch.tensor(float(ranks.rank))
        ranks.most(largest)
        beside = ranks.aside().gather(bytes([ranks.rank]))
        heard = ranks.tell(b"word" if ranks.first else b"ignored")
        return heard, ranks.gather(b"x" * ranks.rank), beside, [t.tolist() for t in tensors], float(largest)

    for heard, gathered, beside, sums, largest in on_ranks(3, talk):
        assert heard == b"word"
        assert gathered == [b"", b"x", b"xx"]
        assert beside == [b"\0", b"\1", b"\2"]
        assert sums == [[3.0] * 3, [[3.0] * 2] * 2]
        assert largest == 2.0


def test_a_lost_rank_is_an_error_that_says_so(on_ranks):
    def leave(ranks: Ranks) -> Any:
        ranks.gather(b"here")
        if ranks.first:
            return "left"
        with pytest.raises(LostRankError, match="lost another rank"):
            ranks.gather(b"still here?")
        return "lost"

    assert on_ranks(2, leave) == ["left", "lost"]
