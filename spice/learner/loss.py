"""The policy-gradient loss on packed trajectories (paper section 3; DrGRPO, PPO clip)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint

from spice.config import LearnerConfig
from spice.learner.base import Trajectory

_CHUNK = 512
KEPT = 2**26
"""So many logits, 256 MiB of float32, are rather kept for the backward pass than made again."""


def sequence_weights(trajectories: Sequence[Trajectory], budgets: dict[str, int]) -> list[float]:
    """The factor of each trajectory in the loss: 1 / (trajectories of its role x the role's token budget).

    A constant in place of the sequence's own length: that is what keeps DrGRPO
    from preferring short right answers and long wrong ones. The budget is the
    role's longest allowed output, so the loss is of order one for both roles.
    """
    counts = {role: sum(t.role == role for t in trajectories) for role in {t.role for t in trajectories}}
    return [1.0 / (counts[t.role] * budgets[t.role]) for t in trajectories]


def objective(
    logprobs: torch.Tensor, old: torch.Tensor, gains: torch.Tensor, losses: torch.Tensor, config: LearnerConfig
) -> tuple[torch.Tensor, torch.Tensor]:
    """The loss that the configuration asks for: `corrected_loss` if it names a cap, else `policy_loss`."""
    if config.importance_cap is not None:
        return corrected_loss(logprobs, old, gains, losses, config.importance_cap)
    return policy_loss(logprobs, old, gains, losses, config.clip)


def policy_loss(
    logprobs: torch.Tensor, old: torch.Tensor, gains: torch.Tensor, losses: torch.Tensor, clip: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """The clipped surrogate of PPO, summed over tokens.

    For one trajectory with advantage A the term is -min(r A, clamp(r, 1 - clip, 1 + clip) A).
    The minimum depends on A by its sign only, so the trajectories that meet in
    a token enter with the sums of their positive and of their negative advantages.

    Args:
        logprobs: the learner's log-probabilities, shape [K].
        old: the engine's, shape [K].
        gains: summed positive weighted advantages, shape [K].
        losses: summed negative ones, shape [K].
        clip: PPO clip, above 0.

    Returns:
        The loss, a scalar, and which tokens were clipped, boolean, shape [K].
    """
    ratio = (logprobs - old).exp()
    value = gains * ratio.clamp_max(1 + clip) + losses * ratio.clamp_min(1 - clip)
    clipped = ((ratio > 1 + clip) & (gains > 0)) | ((ratio < 1 - clip) & (losses < 0))
    return -value.sum(), clipped


def corrected_loss(
    logprobs: torch.Tensor, old: torch.Tensor, gains: torch.Tensor, losses: torch.Tensor, cap: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """The policy gradient on tokens of another policy: truncated importance sampling, summed over tokens.

    A token that the learner would draw w times as often counts min(w, cap) times. Cutting off large weights bounds
    the variance; small ones are exact.

    Args:
        logprobs: the learner's log-probabilities, shape [K].
        old: those of the policy that drew the tokens, shape [K].
        gains: summed positive weighted advantages, shape [K].
        losses: summed negative ones, shape [K].
        cap: largest weight, above 0.

    Returns:
        The loss, a scalar, and which weights were cut off, boolean, shape [K].
    """
    now = logprobs.detach()
    weights = (now - old).exp()
    value = weights.clamp_max(cap) * (gains + losses) * (logprobs - now).exp()
    return -value.sum(), weights > cap


def token_logprobs(
    hidden: torch.Tensor,
    head: torch.nn.Linear,
    targets: torch.Tensor,
    temperatures: torch.Tensor | None,
    allowed: torch.Tensor | None,
    keep: int = KEPT,
) -> torch.Tensor:
    """Log-probability of each target under the distribution that it was drawn from.

    The [K, vocabulary] matrix never exists in one piece: it is made chunk by
    chunk, and where it is large again in the backward pass. Both ways give the same bytes.

    Args:
        hidden: hidden state before each target, shape [K, hidden].
        head: the output embedding.
        targets: token ids, shape [K].
        temperatures: shape [K], or `None` if all are 1.
        allowed: packed grammar bits as int32, shape [K, words], or `None`.
        keep: most logits that are kept for the backward pass.

    Returns:
        float32, shape [K].
    """
    again = len(targets) * head.out_features > keep
    pieces = []
    for start, part in zip(range(0, len(targets), _CHUNK), torch.split(hidden, _CHUNK), strict=True):
        own = slice(start, start + _CHUNK)
        heat, bits = (None if one is None else one[own] for one in (temperatures, allowed))
        given = part, head, targets[own], heat, bits
        pieces.append(checkpoint(_chunk, *given, use_reentrant=False) if again else _chunk(*given))
    return torch.cat(pieces)


def _chunk(
    hidden: torch.Tensor,
    head: torch.nn.Module,
    targets: torch.Tensor,
    temperatures: torch.Tensor | None,
    bits: torch.Tensor | None,
) -> torch.Tensor:
    logits: torch.Tensor = head(hidden).float()
    if temperatures is not None:
        logits = logits / temperatures[:, None]
    if bits is not None:
        shifts = torch.arange(32, device=bits.device, dtype=torch.int32)
        open_ = ((bits[:, :, None] >> shifts) & 1).flatten(1)[:, : logits.shape[1]].bool()
        logits = logits.masked_fill(~open_, float("-inf"))
    return _Chosen.apply(logits, targets)  # type: ignore[no-any-return, no-untyped-call]


class _Chosen(torch.autograd.Function):
    """The log-probability of one token a row, whose backward pass writes over the logits.

    The same operations as autograd's own, but for its copies: of a matrix of this size each costs as much as the
    computation in it.
    """

    @staticmethod
    def forward(ctx: Any, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """From logits, shape [n, vocabulary], and token ids, shape [n], to shape [n]."""
        totals = logits.logsumexp(-1)
        ctx.save_for_backward(logits, targets, totals)
        return logits.gather(-1, targets[:, None])[:, 0] - totals

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        """Of the logits: the gradient at the target, less its share of each token."""
        logits, targets, totals = ctx.saved_tensors
        shares = logits.sub_(totals[:, None]).exp_()
        return shares.mul_(-gradient[:, None]).scatter_add_(-1, targets[:, None], gradient[:, None]), None
