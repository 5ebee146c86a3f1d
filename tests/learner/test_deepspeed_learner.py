"""DeepSpeed against the plain learner: the same update, whatever the stage and the number of ranks."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
os.environ.setdefault("DS_ACCELERATOR", "cpu")
pytest.importorskip("deepspeed", reason="NO DEEPSPEED: `make test-engines` has it")

from spice.config import LearnerConfig, LoraConfig  # noqa: E402
from spice.learner.deepspeed_learner import DeepSpeedLearner  # noqa: E402
from spice.learner.ranks import Ranks  # noqa: E402
from spice.learner.torch_learner import TorchLearner  # noqa: E402
from spice.models.loading import load_model  # noqa: E402

pytestmark = pytest.mark.engines
PLAIN: dict[str, Any] = {"learning_rate": 1e-3, "gradient_checkpointing": False, "microbatch_tokens": 64}
# AdamW makes a whole step of the rounding of a gradient near 0, so in bfloat16 the mean tells more than the largest.
MEAN_GAP = {"float32": 1e-7, "bfloat16": 3e-4}


def numbers(learner: Any) -> dict[str, Any]:
    return {name: weight.float().cpu().numpy().copy() for name, weight in learner.weights().items()}


def compare(found: dict[str, Any], wanted: dict[str, Any], precision: str) -> None:
    assert found.keys() == wanted.keys()
    for name, weight in wanted.items():
        assert np.abs(found[name] - weight).mean() < MEAN_GAP[precision], name
        if precision == "float32":
            np.testing.assert_allclose(found[name], weight, atol=2e-5, rtol=1e-3, err_msg=name)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_every_stage_makes_the_update_of_the_plain_learner(tiny_folder, budgets, some_batch, on_ranks, size):
    def learned(ranks: Ranks) -> Any:
        found = {}
        for precision in ("float32", "bfloat16"):
            for kind, stage in ((TorchLearner, 2), (DeepSpeedLearner, 1), (DeepSpeedLearner, 2), (DeepSpeedLearner, 3)):
                config = LearnerConfig(**PLAIN, precision=precision, zero_stage=stage)
                learner = kind(load_model(tiny_folder, "float32"), config, budgets, ranks)
                stats = [learner.update(some_batch(seed), 1) for seed in (1, 2)][-1]
                found[precision, kind.__name__, stage] = stats, numbers(learner)
        return found

    for found in on_ranks(size, learned):
        for (precision, name, stage), (stats, weights) in found.items():
            wanted, exact = found[precision, "TorchLearner", 2]
            compare(weights, exact, precision)
            near = {"rel": 1e-3 if precision == "float32" else 5e-2, "abs": 1e-5}
            assert stats.grad_norm == pytest.approx(wanted.grad_norm, **near), (precision, name, stage)
            assert stats.loss == pytest.approx(wanted.loss, **near)
            assert stats.mismatch_kl == pytest.approx(wanted.mismatch_kl, **near)


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_a_state_goes_on_with_another_stage_and_other_ranks(
    tiny_folder, budgets, some_batch, on_ranks, tmp_path, stage
):
    def learner(ranks: Ranks, stage: int) -> DeepSpeedLearner:
        config = LearnerConfig(**PLAIN, precision="float32", zero_stage=stage)
        return DeepSpeedLearner(load_model(tiny_folder, "float32"), config, budgets, ranks)

    def begin(ranks: Ranks) -> Any:
        one = learner(ranks, stage)
        one.update(some_batch(1), 1)
        one.capture().write(tmp_path)
        ranks.gather(b"written")
        one.update(some_batch(2), 1)
        return numbers(one)

    def go_on(ranks: Ranks) -> Any:
        one = learner(ranks, stage)
        one.load(tmp_path)
        one.update(some_batch(2), 1)
        return numbers(one)

    def plain(ranks: Ranks) -> Any:
        one = TorchLearner(
            load_model(tiny_folder, "float32"), LearnerConfig(**PLAIN, precision="float32"), budgets, ranks
        )
        one.load(tmp_path)
        one.update(some_batch(2), 1)
        return numbers(one)

    wanted = on_ranks(2, begin)[0]
    again = on_ranks(2, go_on)[0]
    assert all((again[name] == weight).all() for name, weight in wanted.items()), "as many ranks: the same bytes"
    compare(on_ranks(1, go_on)[0], wanted, "float32")
    compare(on_ranks(1, plain)[0], wanted, "float32")


def test_adapters_learn_what_they_learn_in_the_plain_learner(tiny_folder, budgets, some_batch, on_ranks):
    def learned(ranks: Ranks) -> Any:
        found = []
        for kind in (TorchLearner, DeepSpeedLearner):
            torch.manual_seed(7)
            config = LearnerConfig(**PLAIN, precision="float32", lora=LoraConfig(rank=4))
            learner = kind(load_model(tiny_folder, "float32"), config, budgets, ranks)
            for seed in (1, 2, 3):
                learner.update(some_batch(seed), 1)
            found.append(numbers(learner))
        return found

    for wanted, found in on_ranks(2, learned):
        compare(found, wanted, "float32")
