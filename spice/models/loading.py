"""Load a model folder: safetensors only, no code from the folder, no pickle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from spice.errors import ModelError
from spice.models import attention

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def load_model(folder: Path, dtype: str, device: str = "cpu") -> Any:
    """Load a causal language model from `folder` with tree attention.

    Args:
        folder: Hugging Face layout with `config.json` and `*.safetensors`.
        dtype: "float32" or "bfloat16".
        device: "cpu", "cuda", or "auto" for a GPU if there is one.

    Raises:
        ModelError: the folder holds no safetensors, needs code of its own, or does what tree attention cannot.
    """
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    if not any(folder.glob("*.safetensors")):
        raise ModelError(
            f"{folder} holds no *.safetensors file. Convert the model to safetensors; no other format is loaded."
        )
    attention.register()
    try:
        model = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=_DTYPES[dtype],
            attn_implementation=attention.NAME,
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
        )
    except (OSError, ValueError) as error:
        raise ModelError(f"The model in {folder} cannot be loaded: {error}") from error
    if fault := _unsupported(model.config):
        raise ModelError(f"The model in {folder} {fault}, which our engines do not reproduce. Choose another model.")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    model.to(device).eval()
    return model


def load_tokenizer(folder: Path) -> Any:
    """Load the tokenizer of a model folder.

    Raises:
        ModelError: there is none, or it lacks a chat template or an end token.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except (OSError, ValueError) as error:
        raise ModelError(f"The tokenizer in {folder} cannot be loaded: {error}") from error
    if tokenizer.eos_token_id is None or not tokenizer.chat_template:
        raise ModelError(f"The tokenizer in {folder} needs an end token and a chat template.")
    return tokenizer


def _unsupported(config: Any) -> str | None:
    """What the model does beyond attention to all that came before, or `None`."""
    if getattr(config, "final_logit_softcapping", None):
        return "caps its logits"
    # Under a mask of our own such a layer would silently see everything.
    if getattr(config, "sliding_window", None) or set(getattr(config, "layer_types", None) or ()) - {"full_attention"}:
        return "has layers that do not see the whole text"
    return None
