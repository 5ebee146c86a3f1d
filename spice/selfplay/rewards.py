"""Rewards of both roles: SPICE's (paper section 3), and those that it is compared with (section 4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, overload

import numpy as np
from numpy.typing import NDArray

from spice.selfplay.types import Verdict

FloatArray = NDArray[np.float64]
TaskReward = Literal["variance", "sample_variance", "threshold", "absolute_zero", "r_zero"]


@overload
def variance_reward(p: float, sigma2: float = ...) -> float: ...
@overload
def variance_reward(p: FloatArray, sigma2: float = ...) -> FloatArray: ...
def variance_reward(p: float | FloatArray, sigma2: float = 0.01) -> float | FloatArray:
    """Pay the Challenger most for a task that the Reasoner gets right half of the time (paper section 3).

    `exp(-(p (1 - p) - 0.25)^2 / (2 sigma2))`. The variance is that of the
    population, `p (1 - p)`: the sample variance would peak elsewhere.

    Args:
        p: share of right answers in a group, in [0, 1]; one number or any shape.
        sigma2: width of the bell, in squared units of variance.

    Returns:
        The reward in (0, 1], of the shape of `p`; at the default width it is
        0.044 for p = 0 and p = 1 and 1 for p = 0.5.
    """
    reward = np.exp(-((p * (1.0 - p) - 0.25) ** 2) / (2.0 * sigma2))
    return reward if isinstance(p, np.ndarray) else float(reward)


def task_reward(kind: TaskReward, pass_rate: float, group: int = 8) -> float:
    """Reward a valid task by the share of the Reasoner's answers that were right.

    Args:
        kind: which reward. `variance` is SPICE's. `sample_variance` is the same bell over the sample variance
            `p (1 - p) G / (G - 1)`. `threshold` pays 1 for 0 < p < 1. `absolute_zero` pays 1 - p for 0 < p < 1
            (Zhao et al., 2025, equation 4). `r_zero` pays 1 - 2 |p - 1/2| (Huang et al., 2025, section 3.2).
        pass_rate: p, in [0, 1].
        group: answers in the group, G; at least 2 for `sample_variance`.

    Returns:
        The reward, in [0, 1].
    """
    mixed = 0.0 < pass_rate < 1.0
    match kind:
        case "variance":
            return variance_reward(pass_rate)
        case "sample_variance":
            variance = pass_rate * (1.0 - pass_rate) * group / (group - 1)
            return float(np.exp(-((variance - 0.25) ** 2) / 0.02))
        case "threshold":
            return float(mixed)
        case "absolute_zero":
            return 1.0 - pass_rate if mixed else 0.0
        case "r_zero":
            return 1.0 - 2.0 * abs(pass_rate - 0.5)


def challenger_reward(correct_G: Sequence[bool] | None, invalid: float = -0.1, kind: TaskReward = "variance") -> float:
    """Reward one Challenger attempt.

    Args:
        correct_G: which of the G answers equal the gold answer, or `None` if the attempt was invalid.
        invalid: reward of an invalid attempt.
        kind: reward of a valid one, see `task_reward`.

    Returns:
        The reward of the pass rate, or `invalid`.

    Raises:
        ValueError: a valid attempt has no answers, so that it has no pass rate.
    """
    if correct_G is None:
        return invalid
    if not correct_G:
        raise ValueError("a valid attempt needs at least one answer to be rewarded: give None for an invalid attempt")
    return task_reward(kind, sum(correct_G) / len(correct_G), len(correct_G))


def reasoner_rewards(correct_G: Sequence[bool]) -> FloatArray:
    """Reward the Reasoner's answers to one task: 1 where the answer equals the gold answer, else 0. Shape [G]."""
    return np.asarray(correct_G, dtype=np.float64)


def composite_rewards(verdicts_G: Sequence[Verdict]) -> FloatArray:
    """Reward answers as Absolute Zero does (section 3.1): 1 if right, -0.5 if wrong, -1 if unreadable. Shape [G]."""
    paid = [1.0 if v.correct else -1.0 if v.extracted is None else -0.5 for v in verdicts_G]
    return np.asarray(paid, dtype=np.float64)


def without_repetition(rewards_B: Sequence[float], penalties_B: Sequence[float]) -> list[float]:
    """Take repetition penalties off the rewards of valid tasks, but nothing below 0 (R-Zero, section 3.2)."""
    return [max(0.0, reward - penalty) for reward, penalty in zip(rewards_B, penalties_B, strict=True)]
