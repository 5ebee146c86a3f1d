"""How many operations an update takes, and how many a device could do: what model FLOPs utilisation is made of.

Multiplications and additions count one each. Per token a matrix of P weights
takes 2 P forward and 4 P backward (Kaplan et al. 2020, section 2.1); attention
takes 4 per layer, dimension of all heads and visible token (PaLM, appendix B).
What gradient checkpointing computes again is not counted: it is no use.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from spice.learner.trie import Packed

# Dense peaks of the matrix units at bfloat16, from the makers' data sheets.
_PEAKS = {
    "H200": 989.4e12,
    "H100 PCIe": 756e12,
    "H100": 989.4e12,
    "B200": 2250e12,
    "A100": 312e12,
    "L40S": 362e12,
    "L4": 121e12,
    "A10": 125e12,
    "MI300X": 1307e12,
}


class Flops:
    """Operations of one model's forward and backward pass."""

    def __init__(self, config: Any, sizes: Mapping[str, torch.Size], *, adapters: bool) -> None:
        """Measure a model.

        Args:
            config: its transformers configuration.
            sizes: shapes of all its parameters; matrices inside layers count.
            adapters: whether the weights themselves have no gradient, which saves a third.
        """
        inside = [size for name, size in sizes.items() if len(size) == 2 and ".layers." in name]
        self._matrices = sum(size.numel() for size in inside)
        heads = config.num_attention_heads
        width = heads * (getattr(config, "head_dim", None) or config.hidden_size // heads)
        self._attention: int = 4 * config.num_hidden_layers * width
        self._head: int = config.hidden_size * config.vocab_size
        self._passes = 2 if adapters else 3

    def of(self, packed: Packed) -> float:
        """Operations of a micro-batch, forward and backward."""
        seen = float(packed.positions.sum()) + len(packed.positions)
        dense = 2.0 * (self._matrices * len(packed.tokens) + self._head * len(packed.targets))
        return self._passes * dense + 3 * self._attention * seen


def peak_flops(device: torch.device) -> float | None:
    """Operations per second that a device could do at bfloat16, or `None` if nobody knows."""
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    return next((peak for part, peak in _PEAKS.items() if part in name), None)
