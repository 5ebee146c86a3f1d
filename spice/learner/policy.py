"""The policy as a function of packed trajectories: what every learner differentiates."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from spice.learner.loss import token_logprobs
from spice.learner.trie import Packed
from spice.models.attention import tree_mask


class Policy(torch.nn.Module):
    """A causal language model that gives the log-probabilities of a packed micro-batch's trained tokens.

    The hidden states go through the output embedding here and not in the model,
    so that logits exist for trained tokens only, and for a few at a time.
    """

    def __init__(self, model: Any) -> None:
        """Wrap `model`, loaded by `spice.models.loading`, with or without adapters."""
        super().__init__()
        self.model = model

    @property
    def device(self) -> torch.device:
        """Where the model computes."""
        return self.model.get_output_embeddings().weight.device  # type: ignore[no-any-return]

    def forward(
        self,
        tokens: torch.Tensor,
        positions: torch.Tensor,
        ends: torch.Tensor,
        sources: torch.Tensor,
        targets: torch.Tensor,
        temperatures: torch.Tensor | None,
        allowed: torch.Tensor | None,
    ) -> torch.Tensor:
        """Log-probabilities, float32, shape [K]; see `spice.learner.trie.Packed` for the arguments.

        `allowed` is int32 here, the same bits: torch has few operations on unsigned numbers.
        """
        mask = tree_mask(ends, sparse=tokens.device.type == "cuda")
        hidden = self.model.base_model(
            input_ids=tokens[None], attention_mask=mask, position_ids=positions[None], use_cache=False
        ).last_hidden_state[0]
        head = self.model.get_output_embeddings()
        return token_logprobs(hidden.index_select(0, sources), head, tokens[targets], temperatures, allowed)


def tensors(packed: Packed, device: torch.device) -> tuple[torch.Tensor | None, ...]:
    """A micro-batch as the arguments of `Policy.forward`."""
    # Dividing logits by 1 changes nothing, and costs as much as drawing from them.
    heated = packed.temperatures if (packed.temperatures != 1.0).any() else None
    bits = None if packed.allowed is None else packed.allowed.view(np.int32)
    arrays = (packed.tokens, packed.positions, packed.ends, packed.sources, packed.targets, heated, bits)
    return tuple(None if array is None else torch.from_numpy(array).to(device) for array in arrays)
