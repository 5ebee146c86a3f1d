from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spice.config import ModelConfig
from spice.errors import ConfigError
from spice.rollout.continuous import ContinuousBatch, Sequence, open_batch
from spice.rollout.sampling import keep_nucleus

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.torch

PROMPTS = ["The capital of a country", "Which river", "It exports oil, gas, coffee, timber, gold and fish. Who?"]


def run(batch: ContinuousBatch, arrivals: dict[int, list[tuple[int, Sequence]]], drops: dict[int, int] | None = None):
    """Step until nothing is left; `arrivals` and `drops` say what happens before which step."""
    found: dict[int, list[int]] = {}
    for step in range(100):
        for key, sequence in arrivals.get(step, ()):
            found[key] = [batch.add(key, sequence)[0]]
        if drops and step in drops:
            batch.drop(drops[step])
        if not len(batch) and step >= max(arrivals):
            return found
        for key, token, _ in batch.step():
            found[key].append(token)
    raise AssertionError("the batch never emptied")


@pytest.fixture
def batch(policy_folder):
    return open_batch(policy_folder, ModelConfig(dtype="float32", device="cpu"))


def test_sequences_of_different_age_get_the_tokens_that_each_gets_alone(reference, batch) -> None:
    prompts = [reference.encode(text) for text in PROMPTS]
    sequences = [Sequence(prompt, n, temperature=0.0) for prompt, n in zip(prompts, (12, 3, 9), strict=True)]
    found = run(batch, {0: [(0, sequences[0])], 2: [(1, sequences[1])], 5: [(2, sequences[2])]})
    for key, sequence in enumerate(sequences):
        assert tuple(found[key]) == reference.greedy(sequence.prompt, sequence.max_tokens)


def test_dropping_one_does_not_disturb_the_others(reference, batch) -> None:
    prompts = [reference.encode(text) for text in PROMPTS]
    sequences = [(key, Sequence(prompt, 10, temperature=0.0)) for key, prompt in enumerate(prompts)]
    found = run(batch, {0: sequences}, drops={3: 2})
    assert len(found[2]) == 4
    for key in (0, 1):
        assert tuple(found[key]) == reference.greedy(prompts[key], 10)


def test_a_seed_repeats_an_answer_whatever_else_is_in_the_batch(reference, batch) -> None:
    prompts = [reference.encode(text) for text in PROMPTS]
    drawn = Sequence(prompts[0], 8, temperature=1.0, seed=7, ignore_end=True)
    alone = run(batch, {0: [(0, drawn)]})[0]
    crowded = run(batch, {0: [(1, Sequence(prompts[1], 5)), (2, Sequence(prompts[2], 9))], 1: [(0, drawn)]})[0]
    assert alone == crowded
    other = run(batch, {0: [(0, Sequence(prompts[0], 8, temperature=1.0, seed=8, ignore_end=True))]})[0]
    assert other != alone


def test_an_end_token_ends_unless_it_is_ignored(tiny_folder) -> None:
    habitual = open_batch(tiny_folder, ModelConfig(dtype="float32", device="cpu"))
    prompt = tuple(habitual.tokenizer.encode("Question:\n"))
    end = habitual.tokenizer.eos_token_id
    tokens = run_long(habitual, Sequence(prompt, 50, temperature=0.0))
    assert tokens[-1] == end
    assert end not in tokens[:-1]
    assert len(run_long(habitual, Sequence(prompt, 50, temperature=0.0, ignore_end=True))) == 50


def run_long(batch: ContinuousBatch, sequence: Sequence) -> list[int]:
    token, finish = batch.add(0, sequence)
    tokens = [token]
    while finish is None:
        [(_, token, finish)] = batch.step()
        tokens.append(token)
    return tokens


def test_what_exceeds_the_context_is_refused_and_changes_nothing(reference, batch) -> None:
    with pytest.raises(ConfigError, match="context"):
        batch.add(0, Sequence((1,), batch.context))
    assert len(batch) == 0


@settings(max_examples=30)
@given(st.lists(st.floats(-5, 5), min_size=2, max_size=9), st.floats(0.01, 1.0))
def test_the_nucleus_is_the_fewest_likely_tokens_that_reach_the_share(scores: list[float], share: float) -> None:
    logprobs = torch.tensor([scores]).log_softmax(-1)
    kept = keep_nucleus(logprobs, torch.tensor([share]))[0]
    probabilities = logprobs[0].exp()
    inside = kept > float("-inf")
    assert inside[probabilities.argmax()]
    assert kept.exp().sum().item() == pytest.approx(1.0, abs=1e-5)
    if not inside.all():
        assert probabilities[~inside].max() <= probabilities[inside].min()
        assert probabilities[inside].sum() >= share - 1e-5
    assert probabilities[inside].sum() - probabilities[inside].min() <= share + 1e-5
