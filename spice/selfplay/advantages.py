"""Advantages: DrGRPO, one role at a time (paper section 3), and the estimators that it is compared with.

They differ in two things only: which rewards a reward is compared with, and
whether the difference is divided by their standard deviation.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spice.config import Estimator

# Keeps a group in which all earned the same from dividing 0 by 0.
_EPSILON = 1e-6


@dataclass(frozen=True)
class Move:
    """One trajectory's reward, and whom it is compared with.

    Attributes:
        role: who played.
        group: what the same prompt or task has in common.
        kind: of task (deduction, multiple choice and the like).
        reward: what it earned.
    """

    role: str
    group: Hashable
    kind: str
    reward: float


def advantages(moves: Sequence[Move], estimator: Estimator) -> NDArray[np.float64]:
    """Estimate the advantage of each trajectory of an iteration.

    Args:
        moves: of both roles, shape [R]; may be empty.
        estimator: `drgrpo` centres over the role's batch, `group_mean` over the group,
            `reasoner_group_mean` over the answers to one task and over all of the Challenger's attempts,
            `joint_mean` over both roles together; `grpo` normalises by mean and standard deviation within the
            group (DeepSeekMath), `reinforce_plus_plus` within role and kind of task (Absolute Zero, section 3.3).

    Returns:
        Advantages, shape [R].
    """
    members: dict[Hashable, list[int]] = {}
    for i, move in enumerate(moves):
        members.setdefault(_peers(move, estimator), []).append(i)
    result = np.zeros(len(moves))
    for indices in members.values():
        rewards = np.asarray([moves[i].reward for i in indices], dtype=np.float64)
        centred = drgrpo_advantages(rewards)
        scaled = estimator in ("grpo", "reinforce_plus_plus")
        result[indices] = centred / (rewards.std() + _EPSILON) if scaled else centred
    return result


def drgrpo_advantages(rewards_R: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    """Centre the rewards of one role's batch.

    Neither the standard deviation nor the length of a trajectory enters (DrGRPO):
    both would weigh trajectories by something other than their reward. Call it
    once per role, because a baseline over both would reward a role for being the
    better paid one.

    Args:
        rewards_R: one reward per trajectory of the role, shape [R]; may be empty.

    Returns:
        Advantages, shape [R]; they sum to zero up to rounding.
    """
    rewards = np.asarray(rewards_R, dtype=np.float64)
    return rewards - rewards.mean() if rewards.size else rewards


def _peers(move: Move, estimator: Estimator) -> Hashable:
    """What all moves have in common that a move is compared with."""
    match estimator:
        case "drgrpo":
            return move.role
        case "joint_mean":
            return ""
        case "group_mean" | "grpo":
            return (move.role, move.group)
        case "reasoner_group_mean":
            return (move.role, move.group) if move.role == "reasoner" else move.role
        case "reinforce_plus_plus":
            return (move.role, move.kind)
