"""Which rank learns from what, and in which pieces."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spice.learner.base import Role, Trajectory
from spice.learner.loss import sequence_weights
from spice.learner.trie import Packed, pack

ROLES: tuple[Role, ...] = ("challenger", "reasoner")


def microbatches(
    trajectories: Sequence[Trajectory], budgets: dict[str, int], tokens: int, rank: int, ranks: int
) -> dict[Role, list[Packed]]:
    """One rank's packed micro-batches, by each role that anybody has something to learn of.

    Weights are those of the whole batch, so the gradients of all ranks add up
    to the gradient of one that has it all. Neighbours in the order of prompts
    stay together, because that is what packing lives on.

    Args:
        trajectories: of the whole batch, the same on every rank.
        budgets: longest output of each role, in tokens.
        tokens: most tokens in a micro-batch.
        rank: whose share is wanted.
        ranks: how many there are.
    """
    weighted = list(zip(trajectories, sequence_weights(trajectories, budgets), strict=True))
    # An answer that earned what its peers earned has no gradient, and is not worth the computation.
    telling = [(t, weight) for t, weight in weighted if t.advantage] or weighted
    found: dict[Role, list[Packed]] = {}
    for role in ROLES:
        lessons = [(t, weight) for t, weight in telling if t.role == role]
        if lessons:
            mine = _share(lessons, rank, ranks)
            found[role] = list(pack([t for t, _ in mine], [weight for _, weight in mine], tokens))
    return found


def idle() -> Packed:
    """A micro-batch of two tokens that teaches nothing, for a rank that must keep step with the others."""
    nothing = np.zeros(1, np.float32)
    return Packed(
        tokens=np.zeros(2, np.int64),
        positions=np.arange(2),
        ends=np.full(2, 2),
        targets=np.ones(1, np.int64),
        sources=np.zeros(1, np.int64),
        logprobs=nothing,
        gains=nothing,
        losses=nothing,
        temperatures=np.ones(1, np.float32),
        allowed=None,
    )


def _share(weighted: Sequence[tuple[Trajectory, float]], rank: int, ranks: int) -> Sequence[tuple[Trajectory, float]]:
    """A stretch of the trajectories in the order of their prompts, each rank's of about as many tokens."""
    if ranks == 1:
        return weighted
    ordered = sorted(weighted, key=lambda one: (one[0].prompt, one[0].tokens))
    costs, before = [], None
    for trajectory, _ in ordered:
        costs.append(len(trajectory.tokens) + (len(trajectory.prompt) if trajectory.prompt != before else 0))
        before = trajectory.prompt
    total, spent, mine = sum(costs), 0, []
    for one, cost in zip(ordered, costs, strict=True):
        if (spent + cost // 2) * ranks // max(total, 1) == rank:
            mine.append(one)
        spent += cost
    return mine
