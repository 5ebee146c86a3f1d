"""Draw tokens from logits, repeatably."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Drawn:
    """One token a row, and what a learner wants to know of it.

    Attributes:
        tokens: ids.
        logprobs: of these tokens, in nats.
        entropies: of the distributions that they were drawn from, in nats.
    """

    tokens: list[int]
    logprobs: list[float]
    entropies: list[float]


def sample(
    logits: torch.Tensor, temperatures: Sequence[float], uniforms: Sequence[float], allowed: torch.Tensor | None = None
) -> Drawn:
    """Draw a token for each row of logits.

    Every pass over [n, vocabulary] numbers counts here, because there is one of these for each token of the batch.

    Args:
        logits: shape [n, vocabulary], any float type; -inf for what cannot be drawn.
        temperatures: n of them, at least 0; 0 takes the most likely token.
        uniforms: n numbers in [0, 1).
        allowed: boolean, shape [n, vocabulary], or `None` where everything is.
    """
    heat = torch.tensor(temperatures, dtype=torch.float32, device=logits.device)
    logprobs = log_probabilities(logits, None if set(temperatures) <= {0.0, 1.0} else heat, allowed)
    shares = logprobs.exp()
    tokens = _inverse(shares, torch.tensor(uniforms, device=logits.device))
    if not all(temperatures):
        tokens = torch.where(heat > 0, tokens, logprobs.argmax(-1))
    chosen = logprobs.gather(-1, tokens[:, None])[:, 0]
    return Drawn(tokens.tolist(), chosen.tolist(), _entropy(logprobs, shares).tolist())


def log_probabilities(
    logits: torch.Tensor, temperatures: torch.Tensor | None, allowed: torch.Tensor | None
) -> torch.Tensor:
    """Log-probabilities of the distribution that tokens are drawn from.

    Args:
        logits: shape [n, vocabulary], any float type.
        temperatures: shape [n]; 0 means greedy and is treated as 1 here. `None` if all are 1.
        allowed: boolean, shape [n, vocabulary], or `None` where everything is.

    Returns:
        float32, shape [n, vocabulary]; -inf where a token is not allowed.
    """
    scaled = logits.float()
    if temperatures is not None:
        scaled = scaled / torch.where(temperatures > 0, temperatures, 1.0)[:, None]
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
    return torch.where(temperatures > 0, _inverse(logprobs.exp(), uniforms), logprobs.argmax(-1))


def entropy(logprobs: torch.Tensor) -> torch.Tensor:
    """Entropy in nats of each row of `logprobs`, shape [n]."""
    return _entropy(logprobs, logprobs.exp())


def _inverse(shares: torch.Tensor, uniforms: torch.Tensor) -> torch.Tensor:
    """The token of each row into whose share a number falls; shapes [n, vocabulary] and [n] to [n]."""
    cumulative = shares.cumsum(-1)
    # Scaled by the total, because the sum is not exactly 1.
    total = cumulative[:, -1:].contiguous()
    points = uniforms.to(cumulative)[:, None] * total
    drawn = torch.searchsorted(cumulative, points, right=True)
    # A number just below 1 is 1 after rounding, and would point past the last token that can be drawn.
    return torch.minimum(drawn, torch.searchsorted(cumulative, total))[:, 0]


def _entropy(logprobs: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
    # What cannot be drawn adds nothing: 0 times -inf is no number, and left out.
    return -(shares * logprobs).nansum(-1)
