"""Engine and learner hold one policy: before an update and after it, tied embeddings or not, in both formats."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spice.config import LearnerConfig
from spice.learner.base import Trajectory
from spice.rollout.base import Engine, Grammar, Request

torch = pytest.importorskip("torch")

from spice.learner.torch_learner import TorchLearner  # noqa: E402
from spice.models.loading import load_model, load_tokenizer  # noqa: E402

pytestmark = pytest.mark.torch

BUDGETS = {"challenger": 16, "reasoner": 16}
# Largest and mean difference of log-probabilities, in nats.
LIMITS = {"float32": (1e-3, 1e-3), "bfloat16": (0.1, 0.01)}
TEXTS = ("The capital of a country is a city. ", "Read the text and write a question about a fact in it. ")


@dataclass
class Pair:
    """An engine, and a learner with the same weights."""

    engine: Engine
    learner: TorchLearner
    tokenizer: Any
    folder: Path

    def play(self, seed: int) -> list[Trajectory]:
        """What the engine writes, with made-up advantages."""
        prompts = [tuple(self.tokenizer.encode(text * 3 + end)) for text in TEXTS for end in ("Who", "Where is it?")]
        requests = [
            Request(
                prompt, n=6, max_tokens=12, temperature=(0.7, 1.0)[i % 2], seed=seed + i,
                grammar=Grammar("regex", "[a-z ]{4,30}[?]") if i == 3 else None,
            )
            for i, prompt in enumerate(prompts)
        ]  # fmt: skip
        advantages = np.random.default_rng(seed)
        return [
            Trajectory("reasoner", r.prompt, c.tokens, c.logprobs, float(advantages.normal()), r.temperature, c.allowed)
            for r, group in zip(requests, self.engine.generate(requests), strict=True)
            for c in group
        ]

    def update(self, trajectories: list[Trajectory]) -> None:
        self.learner.update(trajectories, 1)
        self.engine.update_weights(self.learner.weights())

    def assert_agree(self, trajectories: list[Trajectory], dtype: str) -> None:
        """The engine's log-probabilities of what it wrote are the learner's."""
        gaps = [
            np.abs(t.logprobs - theirs.numpy())
            for t, theirs in zip(trajectories, self.learner.logprobs(trajectories), strict=True)
        ]
        largest, mean = LIMITS[dtype]
        assert np.concatenate(gaps).max() < largest
        assert np.concatenate(gaps).mean() < mean

    def assert_greedy(self) -> None:
        """The engine writes what transformers' own `generate` writes with the learner's weights."""
        from transformers import AutoModelForCausalLM

        model = AutoModelForCausalLM.from_pretrained(self.folder, dtype=torch.float32, attn_implementation="eager")
        model.load_state_dict(dict(self.learner.weights()), strict=False)
        for text in TEXTS:
            prompt = tuple(self.tokenizer.encode(text))
            ids = torch.tensor([prompt])
            mask = torch.ones_like(ids)
            out = model.generate(ids, attention_mask=mask, max_new_tokens=10, do_sample=False)
            ((completion,),) = self.engine.generate([Request(prompt, max_tokens=10)])
            assert completion.tokens == tuple(out[0, len(prompt) :].tolist())


def make_pair(open_engine, folder: Path, dtype: str, learning_rate: float = 3e-2) -> Pair:
    config = LearnerConfig(learning_rate=learning_rate, precision=dtype, gradient_checkpointing=False)
    learner = TorchLearner(load_model(folder, "float32"), config, BUDGETS)
    return Pair(open_engine(folder, dtype), learner, load_tokenizer(folder), folder)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_logprobs_are_the_learners_and_stay_so_through_updates(open_engine, calm_folder, dtype):
    pair = make_pair(open_engine, calm_folder, dtype)
    for round_ in range(3):
        played = pair.play(seed=100 * round_)
        pair.assert_agree(played, dtype)
        pair.update(played)
    pair.assert_agree(pair.play(seed=7), dtype)


def test_greedy_is_what_generate_writes_through_updates(open_engine, calm_folder):
    pair = make_pair(open_engine, calm_folder, "float32")
    pair.assert_greedy()
    pair.update(pair.play(seed=1))
    pair.assert_greedy()


def test_nothing_of_the_old_weights_is_left_in_a_cache(open_engine, calm_folder):
    """The same prompts before and after an update: keys and values of the old policy must not be found."""
    pair = make_pair(open_engine, calm_folder, "float32")
    first = pair.play(seed=3)
    pair.update(first)
    again = pair.play(seed=3)
    pair.assert_agree(again, "float32")
    assert [t.tokens for t in again] != [t.tokens for t in first]


def test_a_policy_that_did_not_move_writes_the_same_again(open_engine, calm_folder):
    pair = make_pair(open_engine, calm_folder, "float32")
    before = pair.play(seed=5)
    pair.engine.update_weights(pair.learner.weights())
    assert [t.tokens for t in pair.play(seed=5)] == [t.tokens for t in before]


def test_the_comparison_sees_a_wrong_logprob(open_engine, calm_folder):
    pair = make_pair(open_engine, calm_folder, "float32")
    played = pair.play(seed=9)
    wrong = replace(played[0], logprobs=played[0].logprobs + np.float32(0.002))
    with pytest.raises(AssertionError):
        pair.assert_agree([wrong, *played[1:]], "float32")


@pytest.mark.engines
def test_a_stale_output_head_is_seen(calm_folder, monkeypatch):
    """Without its heads packed again vLLM goes on with those of before, where head and embedding are one tensor."""
    from spice.config import ModelConfig, RolloutConfig
    from spice.rollout.open import open_engine

    def opened(folder: Path, dtype: str) -> Engine:
        rollout = RolloutConfig(engine="vllm", cache_bytes=2**26)
        return open_engine(folder, ModelConfig(dtype=dtype, device="cpu"), rollout)

    pair = make_pair(opened, calm_folder, "float32")
    from spice.rollout import vllm_weights

    monkeypatch.setattr(vllm_weights, "pack_heads", lambda model: None)
    pair.update(pair.play(seed=1))
    played = pair.play(seed=2)
    tied = pair.learner.weights().keys().isdisjoint({"lm_head.weight"})
    if tied:
        with pytest.raises(AssertionError):
            pair.assert_agree(played, "float32")
    else:
        pair.assert_agree(played, "float32")
