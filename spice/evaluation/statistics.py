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

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, inf, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

ALPHA = 0.05
METHOD = "wider of paired bootstrap over clusters and Tango score interval"
_CHUNK = 2_000_000
_EXACT_FLIPS = 12


@dataclass(frozen=True)
class Interval:
    """A closed interval."""

    low: float
    high: float


@dataclass(frozen=True)
class Spread:
    """What a bootstrap says of a statistic: a two-sided 95% interval and a one-sided 95% upper bound."""

    low: float
    high: float
    upper_bound: float


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
        p_value: two-sided p-value of a paired test that respects clusters: McNemar's where every item is a cluster of
            its own, else a sign-flip test over clusters.
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
    p_value: float
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


def sign_flip(sums_C: NDArray[np.float64], samples: int, rng: np.random.Generator) -> float:
    """Two-sided p-value of paired differences summed by cluster, under "either model might have given either answer".

    Exact for up to 12 clusters that differ at all, else by `samples` random flips, the observed signs among them, so
    that the p-value is never 0 and never too small (Phipson and Smyth 2010).

    Args:
        sums_C: differences summed within each cluster, shape [clusters].
        samples: random flips.
        rng: draws them.
    """
    sums_C = sums_C[sums_C != 0]
    count = len(sums_C)
    if count == 0:
        return 1.0
    observed = abs(sums_C.sum()) - 1e-9
    if count <= _EXACT_FLIPS:
        signs_SC = 1 - 2 * ((np.arange(2**count)[:, None] >> np.arange(count)) & 1)
        return float((np.abs(signs_SC @ sums_C) >= observed).mean())
    extreme = 0
    step = max(1, _CHUNK // count)
    for start in range(0, samples, step):
        signs_SC = rng.integers(2, size=(min(step, samples - start), count)) * 2 - 1
        extreme += int((np.abs(signs_SC @ sums_C) >= observed).sum())
    return (extreme + 1) / (samples + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values, in the order given: rejecting those below alpha keeps the family's error at alpha."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = largest
    return adjusted


def difference(
    base: Sequence[bool],
    candidate: Sequence[bool],
    clusters: Sequence[str],
    samples: int,
    rng: np.random.Generator,
    *,
    repeated: bool = False,
) -> Difference:
    """Compare two models on the same items.

    Args:
        base: whether the base was right, one per item.
        candidate: whether the candidate was right, in the same order.
        clusters: each item's cluster.
        samples: bootstrap resamples.
        rng: draws them.
        repeated: the items of a cluster ask the same question, as samples do: the score interval, which knows no
            clusters, then counts each cluster as one item.

    Raises:
        ValueError: the three differ in length, or are empty.
    """
    if not len(base) == len(candidate) == len(clusters) or len(base) == 0:
        raise ValueError(f"unpaired or empty results: {len(base)}, {len(candidate)}, {len(clusters)}")
    change_N = np.asarray(candidate, dtype=np.int64) - np.asarray(base, dtype=np.int64)
    gained, lost, n = int((change_N > 0).sum()), int((change_N < 0).sum()), len(base)
    values_N = change_N.astype(np.float64)
    means = clustered_bootstrap(values_N, clusters, samples, rng)
    count = len(set(clusters))
    exact = mcnemar(gained, lost)
    bootstrap = Interval(_quantile(means, ALPHA / 2, count), _quantile(means, 1 - ALPHA / 2, count))
    weight = count / n if repeated else 1.0
    scored = gained * weight, lost * weight, n * weight
    score = tango(*scored)
    return Difference(
        value=(gained - lost) / n,
        interval=Interval(min(bootstrap.low, score.low), max(bootstrap.high, score.high)),
        bootstrap=bootstrap,
        score=score,
        lower_bound=min(_quantile(means, ALPHA, count), tango(*scored, alpha=2 * ALPHA).low),
        mcnemar_p=exact,
        p_value=exact if count == n else sign_flip(_cluster_sums(values_N, clusters)[0], samples, rng),
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
    sums_C, sizes_C = _cluster_sums(values_N, clusters)
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


def tango(gained: float, lost: float, n: float, alpha: float = ALPHA) -> Interval:
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


def bootstrap(
    statistic: Callable[[NDArray[np.float64]], float], clusters: Sequence[str], samples: int, rng: np.random.Generator
) -> Spread:
    """Clustered bootstrap of any statistic.

    Args:
        statistic: its value, given how often each item was drawn, shape [items].
        clusters: each item's cluster.
        samples: resamples.
        rng: draws them.
    """
    _, index_N = np.unique(np.asarray(clusters, dtype=str), return_inverse=True)
    count = int(index_N.max()) + 1
    values = np.empty(samples)
    for number in range(samples):
        drawn_C = np.bincount(rng.integers(count, size=count), minlength=count).astype(np.float64)
        values[number] = statistic(drawn_C[index_N])
    values.sort()
    low, high, upper = (_quantile(values, level, count) for level in (ALPHA / 2, 1 - ALPHA / 2, 1 - ALPHA))
    return Spread(low, high, upper)


def sample_size(
    margin: float,
    discordant_share: float,
    power: float = 0.8,
    alpha: float = ALPHA,
    cluster_size: float = 1.0,
    intraclass: float = 0.0,
) -> int:
    """Items needed to show, one-sided, that an equal candidate is not worse by `margin`.

    The number for independent items, times Kish's design effect 1 + (m - 1) rho of clusters of m items each.

    Args:
        margin: largest loss that counts as not worse, above 0.
        discordant_share: expected share of items that exactly one model gets right.
        power: chance of showing it when the true difference is 0.
        alpha: chance of showing it when the true difference is minus `margin`.
        cluster_size: items per cluster, m, at least 1.
        intraclass: correlation of the differences of two items of a cluster, rho, in [0, 1].
    """
    needed = ((_z(1 - alpha) + _z(power)) / margin) ** 2 * discordant_share
    return max(1, ceil(needed * (1 + (cluster_size - 1) * intraclass)))


def _cluster_sums(
    values_N: NDArray[np.float64], clusters: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sum and number of the values of each cluster, shape [clusters] each."""
    _, index_N = np.unique(np.asarray(clusters, dtype=str), return_inverse=True)
    return np.bincount(index_N, weights=values_N).astype(np.float64), np.bincount(index_N).astype(np.float64)


def _score(d: float, gained: float, lost: float, n: float) -> float:
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
