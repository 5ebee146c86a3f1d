"""Log-likelihoods of given continuations under a model, without gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

Pair = tuple[Sequence[int], Sequence[int]]
"""Token ids of a context, at least one, and of its continuation."""


@torch.inference_mode()
def log_likelihoods(model: Any, pairs: Sequence[Pair], batch_tokens: int = 8192) -> list[tuple[float, bool]]:
    """Score continuations.

    Args:
        model: a causal language model of transformers.
        pairs: what to score; contexts too long for the model are cut off at their beginning.
        batch_tokens: most tokens of one forward pass, padding included.

    Returns:
        In order: the log-probability of each continuation in nats, and whether greedy decoding would give it.
    """
    longest = int(model.config.max_position_embeddings)
    rows = [[*context, *continuation][-longest:] for context, continuation in pairs]
    order = sorted(range(len(rows)), key=lambda place: -len(rows[place]))
    found: list[tuple[float, bool]] = [(0.0, True)] * len(rows)
    while order:
        size = max(1, batch_tokens // len(rows[order[0]]))
        batch, order = order[:size], order[size:]
        scores = _forward(model, [rows[place] for place in batch], [len(pairs[place][1]) for place in batch])
        for place, score in zip(batch, scores, strict=True):
            found[place] = score
    return found


def _forward(model: Any, rows: Sequence[Sequence[int]], lengths: Sequence[int]) -> list[tuple[float, bool]]:
    """Right padding: under a causal mask nothing that counts sees it. Our attention wants the mask to be explicit."""
    width = max(map(len, rows))
    tokens_NT = torch.tensor([[*row, *([0] * (width - len(row)))] for row in rows], device=model.device)
    causal_TT = torch.ones(width, width, dtype=torch.bool, device=model.device).tril()
    mask = causal_TT.expand(len(rows), 1, width, width)
    logits_NTV = model(input_ids=tokens_NT, attention_mask=mask).logits
    found = []
    for number, (row, length) in enumerate(zip(rows, lengths, strict=True)):
        begin, end = max(1, len(row) - length), len(row)
        logprobs_LV = logits_NTV[number, begin - 1 : end - 1].float().log_softmax(-1)
        wanted_L = tokens_NT[number, begin:end]
        total = logprobs_LV.gather(-1, wanted_L[:, None]).sum()
        found.append((float(total), bool((logprobs_LV.argmax(-1) == wanted_L).all())))
    return found
