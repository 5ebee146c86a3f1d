"""Draw tokens from logits, repeatably."""

from __future__ import annotations

import torch


def log_probabilities(logits: torch.Tensor, temperatures: torch.Tensor, allowed: torch.Tensor | None) -> torch.Tensor:
    """Log-probabilities of the distribution that tokens are drawn from.

    Args:
        logits: shape [n, vocabulary], any float type.
        temperatures: shape [n]; 0 means greedy and is treated as 1 here.
        allowed: boolean, shape [n, vocabulary], or `None` where everything is.

    Returns:
        float32, shape [n, vocabulary]; -inf where a token is not allowed.
    """
    scaled = logits.float() / torch.where(temperatures > 0, temperatures, 1.0)[:, None]
    if allowed is not None:
        scaled = scaled.masked_fill(~allowed, float("-inf"))
    return scaled.log_softmax(-1)


def keep_nucleus(logprobs: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
    """Forbid all but the most likely tokens that together reach a share of the probability (top-p).

    Args:
        logprobs: shape [n, vocabulary].
        shares: in (0, 1], shape [n]; 1 forbids nothing.

    Returns:
        Log-probabilities that add up to 1 again, -inf for what is forbidden; shape of `logprobs`.
    """
    ordered, order = logprobs.sort(dim=-1, descending=True)
    before = ordered.exp().cumsum(-1) - ordered.exp()
    # The most likely token stays, whatever the rounding.
    forbidden = before >= shares[:, None]
    forbidden[:, 0] = False
    return logprobs.masked_fill(torch.zeros_like(forbidden).scatter(-1, order, forbidden), float("-inf")).log_softmax(
        -1
    )


def draw(logprobs: torch.Tensor, temperatures: torch.Tensor, uniforms: torch.Tensor) -> torch.Tensor:
    """Pick one token a row: the most likely where the temperature is 0, else by inverse transform.

    Args:
        logprobs: shape [n, vocabulary].
        temperatures: shape [n].
        uniforms: numbers in [0, 1), shape [n].

    Returns:
        Token ids, shape [n].
    """
    cumulative = logprobs.exp().cumsum(-1)
    # Scaled by the total, because the sum is not exactly 1.
    total = cumulative[:, -1:].contiguous()
    points = uniforms.to(cumulative)[:, None] * total
    drawn = torch.searchsorted(cumulative, points, right=True)
    # A number just below 1 is 1 after rounding, and would point past the last token that can be drawn.
    drawn = torch.minimum(drawn, torch.searchsorted(cumulative, total))[:, 0]
    return torch.where(temperatures > 0, drawn, logprobs.argmax(-1))


def entropy(logprobs: torch.Tensor) -> torch.Tensor:
    """Entropy in nats of each row of `logprobs`, shape [n]."""
    return -(logprobs.exp() * logprobs.masked_fill(logprobs == float("-inf"), 0.0)).sum(-1)
