"""Has a series of figures changed its level? A CUSUM of sequential ranks (McDonald, 1990).

The rank of each figure among those before it says nothing but whether it is high or low for its time. As long as
nothing changes these ranks are independent and their distribution is known, whatever that of the figures is. So the
threshold is found once by simulation, no baseline has to be chosen or estimated, and the stated false-alarm rate holds
for the whole series, however often it is looked at while it grows.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from scipy.special import ndtri

Direction = Literal["up", "down"]

_SIMULATIONS = 4000


@dataclass(frozen=True)
class Cusum:
    """One side of the test.

    Attributes:
        direction: which change it looks for.
        statistic: the largest cumulated sum so far, in standard scores.
        threshold: what it must exceed.
        since: place (from 0) of the first figure after the change, `None` if none was found.
    """

    direction: Direction
    statistic: float
    threshold: float
    since: int | None

    @property
    def detected(self) -> bool:
        """Whether the level changed."""
        return self.since is not None


def detect(values: Sequence[float], threshold: float, size: float) -> tuple[Cusum, Cusum]:
    """Look for a rise and for a fall of the level.

    Args:
        values: the series, oldest first. Ties count as half above and half below, which can only lower the alarm rate.
        threshold: from `threshold_for`, for a horizon of at least `len(values)`.
        size: the change to be found fastest, in standard deviations.
    """
    scores = _scores(values)
    return _side("up", scores, threshold, size), _side("down", [-score for score in scores], threshold, size)


@lru_cache(maxsize=64)
def threshold_for(horizon: int, rate: float, size: float, seed: int) -> float:
    """The threshold that a series without change passes within `horizon` figures with probability `rate`.

    It covers both directions together. Found by 4,000 simulated series, so at a rate of 1% the true one lies
    within 0.7% to 1.3%.
    """
    rng = np.random.default_rng(seed)
    sums = np.zeros((2, _SIMULATIONS))
    highest = np.zeros(_SIMULATIONS)
    for t in range(1, horizon + 1):
        score = ndtri((rng.integers(1, t + 1, size=_SIMULATIONS) - 0.5) / t)
        sums = np.maximum(0.0, sums + np.stack([score, -score]) - size / 2)
        highest = np.maximum(highest, sums.max(axis=0))
    return float(np.quantile(highest, 1 - rate, method="higher"))


def _scores(values: Sequence[float]) -> list[float]:
    earlier: list[float] = []
    ranks = []
    for value in values:
        low, high = bisect_left(earlier, value), bisect_right(earlier, value)
        ranks.append((low + high + 1) / 2)
        earlier.insert(high, value)
    return [float(score) for score in ndtri(np.array(ranks) / np.arange(1, len(ranks) + 1))]


def _side(direction: Direction, scores: Sequence[float], threshold: float, size: float) -> Cusum:
    total = highest = 0.0
    began, since = 0, None
    for place, score in enumerate(scores):
        total = max(0.0, total + score - size / 2)
        if total == 0.0:
            began = place + 1
        if total > threshold and since is None:
            since = began
        highest = max(highest, total)
    return Cusum(direction, highest, threshold, since)
