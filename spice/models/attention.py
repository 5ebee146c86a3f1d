"""One attention function for packed trees, in rollout and in training alike.

Three differences to transformers' own `sdpa`: the mask always comes from the
caller (a tree is not causal in the order of its tokens); grouped query heads
are folded into the query length instead of repeating keys and values, which on
a CPU saves most of the memory traffic of decoding; and a long tree is taken in
blocks of queries that each touch only the keys they see. Branches do not see
each other, so the cost grows with the tokens and not with their square.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention
from torch.utils.weak import WeakIdKeyDictionary

NAME = "spice_tree"

# Long enough for the processor's caches, short enough to leave most of the other branches out.
_BLOCK = 256
_known_blocks: MutableMapping[torch.Tensor, tuple[list[torch.Tensor], list[torch.Tensor]]] = WeakIdKeyDictionary()


def tree_mask(ends: torch.Tensor, *, sparse: bool) -> torch.Tensor | BlockMask:
    """The mask of a packed tree, for `tree_attention`.

    Args:
        ends: index after the last descendant of each token, in depth-first order, shape [T].
        sparse: for FlexAttention, which skips blocks in which nothing is seen; else a boolean tensor.

    Returns:
        True where token i (column) is an ancestor of token j (row), or the token itself; shape [1, 1, T, T].
    """
    length = len(ends)
    if sparse:

        def sees(_row: torch.Tensor, _head: torch.Tensor, query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
            return (key <= query) & (query < ends[key])

        return create_block_mask(sees, None, None, length, length, device=ends.device)
    # Half the width of the usual integers: this is the only place where all tokens meet all.
    steps = torch.arange(length, device=ends.device, dtype=torch.int32)
    return (steps[:, None] < ends.to(torch.int32)).tril_()[None, None]


def tree_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | BlockMask | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Scaled dot-product attention under an explicit mask.

    Args:
        module: the attention layer; unused, part of transformers' interface.
        query: shape [rows, heads, queries, head size].
        key: shape [rows, key heads, keys, head size]; heads are a multiple of key heads.
        value: shape of `key`.
        attention_mask: boolean, shape [rows or 1, 1, queries, keys], true where a query sees a key; or the sparse mask
            of `tree_mask`.
        scaling: factor on the scores; head size ** -0.5 if none.
        dropout: probability of dropping a score; self-play trains without.

    Returns:
        Shape [rows, queries, heads, head size], and no weights.
    """
    del module
    if attention_mask is None:
        raise ValueError("tree attention needs an explicit mask")
    if isinstance(attention_mask, BlockMask):
        grouped = query.shape[1] != key.shape[1]
        flex = _compiled() if query.device.type == "cuda" else flex_attention
        sparse = flex(query, key, value, block_mask=attention_mask, scale=scaling, enable_gqa=grouped)
        return sparse.transpose(1, 2).contiguous(), None
    # A GPU would have to wait for the number of keys of each block, and has kernels that need no blocks.
    if query.shape[0] == 1 and query.shape[2] > _BLOCK and query.device.type == "cpu":
        seen, masks = _blocks(attention_mask)
        keys, values = (_Taken.apply(one, *seen) for one in (key, value))  # type: ignore[no-untyped-call]
        parts = zip(torch.split(query, _BLOCK, 2), keys, values, masks, strict=True)
        out = torch.cat([_folded(*part, scaling, dropout) for part in parts], dim=2)
    else:
        out = _folded(query, key, value, attention_mask, scaling, dropout)
    return out.transpose(1, 2).contiguous(), None


def register() -> None:
    """Make the function known to transformers under `NAME`; doing it twice is harmless."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(NAME, tree_attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)


def _blocks(mask: torch.Tensor) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Which keys each block of queries sees, and its part of the mask; worked out once for all layers."""
    found = _known_blocks.get(mask)
    if found is None:
        rows = torch.split(mask, _BLOCK, 2)
        # The largest byte of a column: ten times as quick as `any`, which looks at one element at a time.
        seen = [part[0, 0].view(torch.uint8).amax(0).nonzero()[:, 0] for part in rows]
        found = seen, [part.index_select(3, keys) for part, keys in zip(rows, seen, strict=True)]
        _known_blocks[mask] = found
    return found


class _Taken(torch.autograd.Function):
    """Some keys for each block of queries: `index_select` along dimension 2, for several indices at once.

    Backward by itself, torch would make a tensor of all keys for each block and add these up.
    """

    @staticmethod
    def forward(ctx: Any, keys: torch.Tensor, *taken: torch.Tensor) -> tuple[torch.Tensor, ...]:
        ctx.save_for_backward(*taken)
        ctx.shape = keys.shape
        return tuple(keys.index_select(2, one) for one in taken)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        total = gradients[0].new_zeros(ctx.shape)
        # Last block first, as torch itself adds them up.
        for one, gradient in zip(reversed(ctx.saved_tensors), reversed(gradients), strict=True):
            total.index_add_(2, one, gradient)
        return total, *(None for _ in gradients)


@cache
def _compiled() -> Any:
    """FlexAttention as a kernel for micro-batches of any length."""
    return torch.compile(flex_attention, dynamic=True)


def _folded(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor,
    scaling: float | None,
    dropout: float,
) -> torch.Tensor:
    """Attention with the query heads of one key head laid one after the other; shapes as in `tree_attention`."""
    rows, heads, queries, size = query.shape
    groups = heads // key.shape[1]
    mask = attention_mask.expand(attention_mask.shape[0], groups, queries, -1).flatten(1, 2)[:, None]
    folded = query.reshape(rows, key.shape[1], groups * queries, size)
    out = F.scaled_dot_product_attention(folded, key, value, attn_mask=mask, dropout_p=dropout, scale=scaling)
    return out.reshape(rows, heads, queries, size)
