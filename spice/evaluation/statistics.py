"""Intervals and tests for pass rates and paired differences.

All bounds are at the 95% level unless said otherwise. Two models answer the
same items, so differences are paired; items of one document resemble each
other, so the bootstrap resamples documents (clusters), not items.

The bootstrap cannot see what it has not drawn: where base and candidate agree
on every one of ten items it returns [0, 0]. So `difference` reports the wider of
the clustered bootstrap and Tango's score interval, which stays honest when few
pairs disagree. The widening costs next to nothing once a few dozen pairs do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, inf, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

ALPHA = 0.05
METHOD = "wider of paired bootstrap over clusters and Tango score interval"
_CHUNK = 2_000_000


@dataclass(frozen=True)
class Interval:
    """A closed interval."""

    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """Candidate's pass rate minus base's, over paired items.

    Attributes:
        value: the difference, in [-1, 1].
        interval: two-sided 95%, see `METHOD`.
        bootstrap: the clustered bootstrap's interval alone.
        score: Tango's score interval alone.
        lower_bound: one-sided 95% lower bound by the same method, for non-inferiority.
        mcnemar_p: exact two-sided McNemar p-value; ignores clusters.
        discordant: pairs that exactly one of the two models gets right.
        n: pairs.
        clusters: distinct clusters among them.
    """

    value: float
    interval: Interval
    bootstrap: Interval
    score: Interval
    lower_bound: float
    mcnemar_p: float
    discordant: int
    n: int
    clusters: int


def wilson(correct: int, n: int, alpha: float = ALPHA) -> Interval:
    """Wilson's score interval of a pass rate; [0, 1] where there is nothing to count."""
    if n == 0:
        return Interval(0.0, 1.0)
    z = _z(1 - alpha / 2)
    rate, shrink = correct / n, 1 + z * z / n
    centre = (rate + z * z / (2 * n)) / shrink
    half = z * sqrt(rate * (1 - rate) / n + z * z / (4 * n * n)) / shrink
    low = 0.0 if correct == 0 else centre - half
    high = 1.0 if correct == n else centre + half
    return Interval(low, high)


def mcnemar(gained: int, lost: int) -> float:
    """Exact two-sided McNemar p-value of `gained` against `lost` items; 1 where no pair disagrees."""
    if gained + lost == 0:
        return 1.0
    return float(stats.binomtest(gained, gained + lost, 0.5).pvalue)


def difference(
    base: Sequence[bool],
    candidate: Sequence[bool],
    clusters: Sequence[str],
    samples: int,
    rng: np.random.Generator,
) -> Difference:
    """Compare two models on the same items.

    Args:
        base: whether the base was right, one per item.
        candidate: whether the candidate was right, in the same order.
        clusters: each item's cluster.
        samples: bootstrap resamples.
        rng: draws them.

    Raises:
        ValueError: the three differ in length, or are empty.
    """
    if not len(base) == len(candidate) == len(clusters) or len(base) == 0:
        raise ValueError(f"unpaired or empty results: {len(base)}, {len(candidate)}, {len(clusters)}")
    change_N = np.asarray(candidate, dtype=np.int64) - np.asarray(base, dtype=np.int64)
    gained, lost, n = int((change_N > 0).sum()), int((change_N < 0).sum()), len(base)
    means = clustered_bootstrap(change_N.astype(np.float64), clusters, samples, rng)
    count = len(set(clusters))
    bootstrap = Interval(_quantile(means, ALPHA / 2, count), _quantile(means, 1 - ALPHA / 2, count))
    score = tango(gained, lost, n)
    return Difference(
        value=(gained - lost) / n,
        interval=Interval(min(bootstrap.low, score.low), max(bootstrap.high, score.high)),
        bootstrap=bootstrap,
        score=score,
        lower_bound=min(_quantile(means, ALPHA, count), tango(gained, lost, n, alpha=2 * ALPHA).low),
        mcnemar_p=mcnemar(gained, lost),
        discordant=gained + lost,
        n=n,
        clusters=count,
    )


def clustered_bootstrap(
    values_N: NDArray[np.float64], clusters: Sequence[str], samples: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Means of `values_N` over resampled clusters, sorted, shape [samples].

    Each resample draws as many clusters as there are, with replacement, and
    takes all items of each; so the mean is a ratio of sums.
    """
    _, index_N = np.unique(np.asarray(clusters, dtype=str), return_inverse=True)
    sizes_C = np.bincount(index_N).astype(np.float64)
    sums_C = np.bincount(index_N, weights=values_N)
    count = len(sizes_C)
    means = np.empty(samples)
    step = max(1, _CHUNK // count)
    for start in range(0, samples, step):
        drawn_SC = rng.integers(count, size=(min(step, samples - start), count))
        means[start : start + step] = sums_C[drawn_SC].sum(axis=1) / sizes_C[drawn_SC].sum(axis=1)
    means.sort()
    return means


def clustered_interval(
    values: Sequence[float], clusters: Sequence[str], samples: int, rng: np.random.Generator
) -> Interval:
    """Two-sided 95% clustered bootstrap interval of a mean; values and clusters are one per item, at least one."""
    means = clustered_bootstrap(np.asarray(values, dtype=np.float64), clusters, samples, rng)
    count = len(set(clusters))
    return Interval(_quantile(means, ALPHA / 2, count), _quantile(means, 1 - ALPHA / 2, count))


def tango(gained: int, lost: int, n: int, alpha: float = ALPHA) -> Interval:
    """Tango's score interval of a paired difference (Statistics in Medicine 17, 1998).

    It inverts the score test of "the difference is d" over all d. With no
    disagreeing pair it is plus or minus z^2 / (n + z^2), not zero width.
    """
    z = _z(1 - alpha / 2)

    def solve(target: float) -> float:
        edge = 1 - 1e-12
        at_low, at_high = _score(-edge, gained, lost, n) - target, _score(edge, gained, lost, n) - target
        if at_low <= 0:
            return -1.0
        if at_high >= 0:
            return 1.0
        return float(optimize.brentq(lambda d: _score(d, gained, lost, n) - target, -edge, edge, xtol=1e-10))

    return Interval(solve(z), solve(-z))


def sample_size(margin: float, discordant_share: float, power: float = 0.8, alpha: float = ALPHA) -> int:
    """Items needed to show, one-sided, that an equal candidate is not worse by `margin`.

    Args:
        margin: largest loss that counts as not worse, above 0.
        discordant_share: expected share of items that exactly one model gets right.
        power: chance of showing it when the true difference is 0.
        alpha: chance of showing it when the true difference is minus `margin`.
    """
    needed = ((_z(1 - alpha) + _z(power)) / margin) ** 2 * discordant_share
    return max(1, ceil(needed))


def _score(d: float, gained: int, lost: int, n: int) -> float:
    """The score statistic for a true difference `d`; falls as `d` rises."""
    b = -gained - lost + (2 * n - gained + lost) * d
    c = -lost * d * (1 - d)
    lost_share = (sqrt(max(0.0, b * b - 8 * n * c)) - b) / (4 * n)
    variance = n * (2 * lost_share + d * (1 - d))
    gap = gained - lost - n * d
    if variance <= 0:
        return 0.0 if gap == 0 else inf if gap > 0 else -inf
    return gap / sqrt(variance)


def _quantile(sorted_means: NDArray[np.float64], level: float, clusters: int) -> float:
    """A percentile bound, expanded for few clusters (Hesterberg 2015, section 5).

    The plain percentile interval is too narrow by about sqrt((C - 1) / C) and
    uses normal instead of t quantiles. Of one cluster nothing is known.
    """
    if clusters < 2:
        return -1.0 if level < 0.5 else 1.0
    t = float(stats.t.ppf(level, clusters - 1)) * sqrt(clusters / (clusters - 1))
    return float(np.quantile(sorted_means, stats.norm.cdf(t)))


def _z(level: float) -> float:
    return float(stats.norm.ppf(level))
