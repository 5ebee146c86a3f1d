"""Open the engine that the configuration names."""

from __future__ import annotations

from pathlib import Path

from spice.config import ModelConfig, RolloutConfig
from spice.models.loading import load_model, load_tokenizer
from spice.rollout.base import Engine
from spice.rollout.transformers_engine import TransformersEngine


def open_engine(folder: Path, model: ModelConfig, rollout: RolloutConfig) -> Engine:
    """Load the model in `folder` for generation, in `model.dtype` on `model.device`."""
    loaded = load_model(folder, model.dtype, model.device)
    return TransformersEngine(loaded, load_tokenizer(folder), rollout.batch_tokens)
