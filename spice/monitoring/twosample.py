"""Do two samples come from one distribution? Three statistics, each judged against permutations of its own samples.

Fixed thresholds (such as 0.2 for the population stability index) raise far too many alarms on small samples and too
few on large ones. Here every threshold is the quantile of the statistic over random re-divisions of the pooled
sample, so the false-alarm rate is the one that was asked for, at any sample size and for any distribution.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
# Rows are divisions of the pooled sample: 1.0 for a member of the first part, else 0.0; shape [P, N].
Statistic = Callable[[Floats], Floats]

# Statistics of divisions that are equal but for the order of summation must count as equal.
_TOLERANCE = 1e-12


@dataclass(frozen=True)
class Result:
    """One permutation test.

    Attributes:
        statistic: of the two samples as they are.
        threshold: what the statistic must exceed to count as drift.
        p_value: share of divisions, the real one included, with a statistic at least as large.
        drifted: whether it counts as drift.
    """

    statistic: float
    threshold: float
    p_value: float
    drifted: bool


def compare(
    statistic: Statistic, first: int, total: int, permutations: int, rate: float, rng: np.random.Generator
) -> Result:
    """Compare the first `first` of `total` pooled units with the others.

    Args:
        statistic: its values for given divisions, see `ks`, `jensen_shannon` and `mmd`.
        first: units of the first sample, which stand first in the pool.
        total: units of both.
        permutations: random divisions.
        rate: probability of finding drift where there is none; at least 1 / (permutations + 1).
        rng: draws the divisions.

    Raises:
        ValueError: a sample is empty, or there are too few permutations for such a rate.
    """
    allowed = int(rate * (permutations + 1) + _TOLERANCE)
    if not 0 < first < total:
        raise ValueError(f"both samples must have members: {first} and {total - first}")
    if allowed < 1:
        raise ValueError(f"{permutations} permutations cannot show a rate of {rate}")
    real = np.zeros((1, total))
    real[0, :first] = 1.0
    observed = float(statistic(real)[0])
    permuted = np.sort(statistic(rng.permuted(np.repeat(real, permutations, axis=0), axis=1)))[::-1]
    p_value = (1 + int((permuted >= observed - _TOLERANCE).sum())) / (permutations + 1)
    return Result(observed, float(permuted[allowed - 1]), p_value, p_value <= rate + _TOLERANCE)


def ks(values_N: Floats) -> Statistic:
    """Kolmogorov-Smirnov: the largest difference of the two empirical distribution functions, in [0, 1]."""
    order = np.argsort(values_N, kind="stable")
    ordered = values_N[order]
    last_of_ties = np.append(ordered[1:] != ordered[:-1], True)

    def statistic(divisions_PN: Floats) -> Floats:
        first = divisions_PN[:, order]
        size = first.sum(axis=1, keepdims=True)
        below = first.cumsum(axis=1) / size
        others = (1 - first).cumsum(axis=1) / (first.shape[1] - size)
        gaps: Floats = np.abs(below - others)[:, last_of_ties]
        return np.asarray(gaps.max(axis=1))

    return statistic


def jensen_shannon(counts_NH: Floats) -> Statistic:
    """Jensen-Shannon divergence of the two samples' summed histograms, in bits, in [0, 1]."""
    total_H = counts_NH.sum(axis=0)

    def statistic(divisions_PN: Floats) -> Floats:
        first_PH = divisions_PN @ counts_NH
        p, q = _shares(first_PH), _shares(total_H - first_PH)
        return _entropy((p + q) / 2) - (_entropy(p) + _entropy(q)) / 2

    return statistic


def mmd(features_NF: Floats) -> Statistic:
    """Maximum mean discrepancy (Gretton et al., 2012), squared and biased, with a Gaussian kernel.

    The kernel's width is the median distance in the pool, which no division changes.
    """
    squares_N = (features_NF**2).sum(axis=1)
    distances_NN = np.maximum(squares_N[:, None] + squares_N[None, :] - 2 * features_NF @ features_NF.T, 0.0)
    apart = distances_NN[~np.eye(len(features_NF), dtype=bool)]
    width = float(np.median(apart)) or float(apart.mean()) or 1.0
    kernel_NN = np.exp(-distances_NN / width)

    def statistic(divisions_PN: Floats) -> Floats:
        size = divisions_PN.sum(axis=1, keepdims=True)
        weights_PN = divisions_PN / size - (1 - divisions_PN) / (divisions_PN.shape[1] - size)
        return np.asarray(((weights_PN @ kernel_NN) * weights_PN).sum(axis=1))

    return statistic


def _shares(counts: Floats) -> Floats:
    sums = counts.sum(axis=1, keepdims=True)
    return np.asarray(np.divide(counts, sums, out=np.full_like(counts, 1 / counts.shape[1]), where=sums > 0))


def _entropy(shares: Floats) -> Floats:
    logs = np.log2(shares, out=np.zeros_like(shares), where=shares > 0)
    return np.asarray(-(shares * logs).sum(axis=1))
