"""Advantages: DrGRPO, one role at a time (paper section 3)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


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
