"""The memory plan against sums made by hand, and against the tensors of a model that is there."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from spice.config import Config
from spice.models.shapes import KNOWN, Shape, of_folder
from spice.settings import resolve
from spice.training import sizing

# Two layers of width 4: queries 2 heads of 2, one key head, MLP of 8, ten words, output embedding of its own.
SMALL = Shape(4, 2, 2, 1, 2, 8, 10, tied=False)
# A layer: 4*4 + 4*2 + 4*2 + 4*4 + 3 * 4*8 + 2 norms of 4 = 152; two of them, two embeddings of 40, a last norm of 4.
WEIGHTS = 2 * 152 + 2 * 40 + 4


def settings(*sets: str) -> Config:
    return resolve("qwen3-4b", environ={}, sets=list(sets)).config


@pytest.mark.parametrize(
    ("name", "billions"),
    [
        ("Qwen/Qwen3-4B-Base", 4.022),
        ("Qwen/Qwen3-8B-Base", 8.191),
        ("OctoThinker/OctoThinker-3B-Hybrid-Base", 3.213),
        ("OctoThinker/OctoThinker-8B-Hybrid-Base", 8.030),
        ("smollm2-135m-instruct", 0.1345),
    ],
)
def test_known_models_have_the_size_that_their_makers_say(name: str, billions: float) -> None:
    assert KNOWN[name].parameters / 1e9 == pytest.approx(billions, rel=1e-3)


@pytest.mark.parametrize(
    ("sets", "weights", "gradients", "moments"),
    [
        (["learner.backend=torch"], 6 * WEIGHTS, 8 * WEIGHTS, 8 * WEIGHTS),
        (["learner.backend=torch", "learner.precision=float32"], 4 * WEIGHTS, 8 * WEIGHTS, 8 * WEIGHTS),
        (["learner.zero_stage=1"], 2 * WEIGHTS + WEIGHTS, 4 * WEIGHTS, 2 * WEIGHTS),
        (["learner.zero_stage=2"], 2 * WEIGHTS + WEIGHTS, WEIGHTS, 2 * WEIGHTS),
        (["learner.zero_stage=3"], WEIGHTS // 2 + WEIGHTS, WEIGHTS, 2 * WEIGHTS),
    ],
)
def test_bytes_by_hand_on_four_gpus(sets: list[str], weights: int, gradients: int, moments: int) -> None:
    found = sizing.memory(settings(*sets), SMALL, 4, 80 * sizing.GIB)
    assert (found.weights, found.gradients, found.optimizer) == (weights, gradients, moments)


def test_only_adapters_have_gradients_and_moments() -> None:
    # Rank 3: 3 * (in + out) of each matrix; (4,4) (4,2) (4,2) (4,4) (4,8) (4,8) (8,4) in each of two layers.
    adapters = 2 * 3 * (8 + 6 + 6 + 8 + 12 + 12 + 12)
    assert SMALL.adapters(3) == adapters
    found = sizing.memory(settings("learner.backend=torch", "learner.lora.rank=3"), SMALL, 1, 80 * sizing.GIB)
    assert found.optimizer == 8 * adapters
    assert found.weights == 2 * (WEIGHTS + adapters) + 4 * adapters


def test_activations_by_hand() -> None:
    # 100 tokens in bfloat16; a layer keeps 4*4 + 2*4 + 2*2 + 3*8 = 52 numbers a token.
    # So few logits are kept, beside the three pieces.
    layer, logits = 2 * 100 * 52, (3 + 1) * 4 * 100 * 10
    assert sizing.activation_bytes(SMALL, 100, 2, checkpointing=False) == 2 * layer + logits
    kept = 2 * 100 * 4 * 2 + layer
    assert sizing.activation_bytes(SMALL, 100, 2, checkpointing=True) == kept + logits
    many = 2**23  # of tokens: 10 logits each are too many to keep
    kept = 2 * many * 4 * 2 + 2 * many * 52
    assert sizing.activation_bytes(SMALL, many, 2, checkpointing=True) == kept + 3 * 4 * 512 * 10


def test_tokens_of_the_papers_iteration() -> None:
    config = settings()
    found = sizing.plan(config, KNOWN["Qwen/Qwen3-4B-Base"], 8, 80 * sizing.GIB).tokens
    attempts, answers = 128 * 8 * 4096, 128 * 8 * 8 * 4096
    assert found.longest == attempts + answers
    assert found.trained == attempts + 128 * 8 * 4096
    assert found.prompts == 128 * 5992


@pytest.mark.parametrize("preset", ["qwen3-4b", "qwen3-8b", "octothinker-3b", "octothinker-8b"])
def test_the_presets_fit_the_node_that_they_are_for(preset: str) -> None:
    config = resolve(preset, environ={}).config
    assert sizing.plan(config, KNOWN[config.model.name], 8, 80 * sizing.GIB).fits


@pytest.mark.parametrize("gpus", [1, 2, 8])
@pytest.mark.parametrize("gib", [24, 40])
def test_what_a_refused_plan_proposes_does_fit(gpus: int, gib: int) -> None:
    shape = KNOWN["Qwen/Qwen3-8B-Base"]
    found = sizing.plan(resolve("qwen3-8b", environ={}).config, shape, gpus, gib * sizing.GIB)
    assert not found.fits
    for change in found.changes:
        words = change.split()
        sets = [word for option, word in pairwise(words) if option == "--set"]
        more = int(words[words.index("--gpus") + 1]) if "--gpus" in words else gpus
        changed = resolve("qwen3-8b", environ={}, sets=sets).config
        assert sizing.plan(changed, shape, more, gib * sizing.GIB).fits, change


@pytest.mark.torch
def test_the_plan_of_a_tiny_model_is_what_its_tensors_measure(tiny_folder: Path) -> None:
    torch: Any = pytest.importorskip("torch")
    from spice.learner.base import Trajectory
    from spice.learner.torch_learner import TorchLearner
    from spice.models.loading import load_model

    config = resolve("smoke", environ={}, sets=["learner.precision=bfloat16"]).config
    planned = sizing.memory(config, of_folder(tiny_folder), 1, sizing.GIB)
    learner = TorchLearner(load_model(tiny_folder, "float32"), config.learner, {"challenger": 8, "reasoner": 8})
    trajectory = Trajectory("reasoner", (5, 6), (7, 8), torch.zeros(2).numpy() - 6, 1.0, 1.0)
    learner.update([trajectory], 1)

    def size(tensors: Any) -> int:
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)

    masters = list(learner.weights().values())
    assert size(masters) + size(learner.computing()) == planned.weights
    values = [value for piece in learner.capture().pieces for what, value in piece.values.items() if what != "master"]
    assert size(values) == planned.optimizer
