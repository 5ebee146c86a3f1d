"""Means and differences over seeds and items, both drawn at random, with intervals.

Every seed answers the same test, so the answers form a table of seeds by items, and
a mean over it is uncertain in two ways: other seeds (with other warm starts) would
have done otherwise, and other items would have been answered otherwise. Both are
counted. With A = variance of the seeds' means / seeds and B = variance of the items'
means / items, the mean's variance is at most A + B, and its degrees of freedom are
Satterthwaite's. One seed alone says nothing of others; then B is all there is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

ALPHA = 0.05
METHOD = "t interval over seeds and items (crossed, Satterthwaite's degrees of freedom), 95%"


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds and items.

    Attributes:
        value: the mean.
        low: lower 95% bound.
        high: upper bound.
        p: two-sided p-value of the mean being 0; of use for differences.
        seeds: how many seeds stand behind it.
    """

    value: float
    low: float
    high: float
    p: float
    seeds: int


def estimate(table_SN: ArrayLike) -> Estimate:
    """The mean of a table of seeds by items, such as 1 for right and 0 for wrong.

    Args:
        table_SN: shape [seeds, items], at least one seed and two items.

    Raises:
        ValueError: the table is too small or not two-dimensional.
    """
    table = np.asarray(table_SN, dtype=np.float64)
    if table.ndim != 2 or table.shape[0] < 1 or table.shape[1] < 2:
        raise ValueError(f"a table of seeds by items is needed, with two items at least; got shape {table.shape}")
    seeds, items = table.shape
    parts = [(float(table.mean(axis=0).var(ddof=1)) / items, items - 1)]
    if seeds > 1:
        parts.append((float(table.mean(axis=1).var(ddof=1)) / seeds, seeds - 1))
    value, variance = float(table.mean()), sum(part for part, _ in parts)
    if variance == 0:
        return Estimate(value, value, value, 1.0 if value == 0 else 0.0, seeds)
    freedom = variance**2 / sum(part**2 / df for part, df in parts)
    half = float(stats.t.ppf(1 - ALPHA / 2, freedom)) * sqrt(variance)
    p = 2 * float(stats.t.sf(abs(value) / sqrt(variance), freedom))
    return Estimate(value, value - half, value + half, p, seeds)


def accuracy(right_SN: ArrayLike) -> Estimate:
    """`estimate` of right answers: a t interval over few seeds may leave [0, 1], which a share cannot, so it is cut."""
    found = estimate(right_SN)
    return replace(found, low=max(0.0, found.low), high=min(1.0, found.high))


def difference(ours_SN: ArrayLike, theirs_SN: ArrayLike) -> Estimate:
    """Ours minus theirs, paired by seed (same warm start) and by item. Raises `ValueError` if they do not pair."""
    ours, theirs = np.asarray(ours_SN, dtype=np.float64), np.asarray(theirs_SN, dtype=np.float64)
    if ours.shape != theirs.shape:
        raise ValueError(f"differences are taken between equal seeds and items; got {ours.shape} and {theirs.shape}")
    return estimate(ours - theirs)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values for their number (Holm, 1979), in the order given."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted = [0.0] * len(p_values)
    least = 0.0
    for rank, i in enumerate(order):
        least = max(least, min(1.0, (len(order) - rank) * p_values[i]))
        adjusted[i] = least
    return adjusted


def collapse(readings: Sequence[NDArray[np.bool_]]) -> int | None:
    """From which reading on one seed was worse than at its start, never to recover.

    Args:
        readings: right answers at each checkpoint, the start first, each of shape [items].

    Returns:
        Index of the first reading from which on, to the end, the upper bound of the difference to the start stays
        below 0; `None` if the last reading is not worse.
    """
    first = None
    for index in range(len(readings) - 1, 0, -1):
        change = np.asarray(readings[index], dtype=np.float64) - readings[0]
        if estimate(change[None]).high >= 0:
            break
        first = index
    return first


def at_budget(budgets: Sequence[float], limit: float) -> int:
    """Index of the last reading whose budget is within `limit`; budgets ascend, the first is 0."""
    return max((index for index, budget in enumerate(budgets) if budget <= limit * (1 + 1e-9)), default=0)
