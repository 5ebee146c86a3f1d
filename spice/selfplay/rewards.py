"""Rewards of both roles (paper section 3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


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


def challenger_reward(correct_G: Sequence[bool] | None, invalid: float = -0.1) -> float:
    """Reward one Challenger attempt.

    Args:
        correct_G: which of the G answers equal the gold answer, or `None` if the attempt was invalid.
        invalid: reward of an invalid attempt.

    Returns:
        `variance_reward` of the pass rate, or `invalid`.

    Raises:
        ValueError: a valid attempt has no answers, so that it has no pass rate.
    """
    if correct_G is None:
        return invalid
    if not correct_G:
        raise ValueError("a valid attempt needs at least one answer to be rewarded: give None for an invalid attempt")
    return variance_reward(sum(correct_G) / len(correct_G))


def reasoner_rewards(correct_G: Sequence[bool]) -> FloatArray:
    """Reward the Reasoner's answers to one task: 1 where the answer equals the gold answer, else 0. Shape [G]."""
    return np.asarray(correct_G, dtype=np.float64)
