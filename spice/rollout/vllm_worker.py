"""What a vLLM server of ours can do besides serving: take new weights from a file.

vLLM mixes this into its workers (`--worker-extension-cls`), so `self` is a worker.
"""

from __future__ import annotations

from typing import Any

from safetensors.torch import load_file

from spice.rollout import vllm_weights


class WeightFile:
    """A vLLM worker that reads safetensors."""

    model_runner: Any

    def take_weights(self, path: str) -> None:
        """Load weights from a safetensors file that this process can read."""
        vllm_weights.load(self.model_runner, load_file(path))
