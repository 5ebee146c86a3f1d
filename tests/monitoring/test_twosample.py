from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from scipy.spatial import distance

from spice.monitoring import twosample

Draw = Callable[[np.random.Generator, int, float], NDArray[np.float64]]


def division(first: int, total: int) -> NDArray[np.float64]:
    row = np.zeros((1, total))
    row[0, :first] = 1.0
    return row


@given(
    st.lists(st.integers(0, 8), min_size=1, max_size=30),
    st.lists(st.integers(0, 8), min_size=1, max_size=30),
)
def test_ks_is_that_of_scipy_ties_included(first: list[int], second: list[int]) -> None:
    pooled = np.array([*first, *second], dtype=float)
    ours = twosample.ks(pooled)(division(len(first), len(pooled)))[0]
    assert ours == pytest.approx(stats.ks_2samp(first, second, method="asymp").statistic)


def test_jensen_shannon_is_that_of_scipy() -> None:
    rng = np.random.default_rng(1)
    counts = rng.integers(0, 5, size=(9, 6)).astype(float)
    ours = twosample.jensen_shannon(counts)(division(4, 9))[0]
    theirs = distance.jensenshannon(counts[:4].sum(axis=0), counts[4:].sum(axis=0), base=2) ** 2
    assert ours == pytest.approx(theirs)


def test_jensen_shannon_of_disjoint_histograms_is_one_bit() -> None:
    counts = np.array([[3.0, 0.0], [0.0, 5.0]])
    assert twosample.jensen_shannon(counts)(division(1, 2))[0] == pytest.approx(1.0)


def test_mmd_by_its_definition() -> None:
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(5, 3)), rng.normal(size=(7, 3))
    pooled = np.vstack([x, y])
    width = np.median(distance.pdist(pooled, "sqeuclidean"))

    def kernel(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
        return float(np.exp(-distance.cdist(a, b, "sqeuclidean") / width).mean())

    expected = kernel(x, x) + kernel(y, y) - 2 * kernel(x, y)
    assert twosample.mmd(pooled)(division(5, 12))[0] == pytest.approx(expected)


@pytest.mark.parametrize("build", [twosample.ks, twosample.jensen_shannon, twosample.mmd])
def test_equal_samples_never_drift(build: Callable[[NDArray[np.float64]], twosample.Statistic]) -> None:
    pooled = np.ones(20) if build is twosample.ks else np.ones((20, 4))
    found = twosample.compare(build(pooled), 10, 20, 99, 0.05, np.random.default_rng(0))
    assert found.p_value == 1.0
    assert not found.drifted


def lengths(rng: np.random.Generator, n: int, shift: float) -> NDArray[np.float64]:
    return rng.lognormal(6 + shift, 1.0, size=n)  # skewed, as lengths of documents are


def histograms(rng: np.random.Generator, n: int, shift: float) -> NDArray[np.float64]:
    weights = np.linspace(1.0, 2.0 + 4 * shift, 16)
    topics = rng.dirichlet(weights, size=n)  # units differ among themselves, as documents do
    return np.stack([rng.multinomial(40, topic) for topic in topics]).astype(float)


def drifts(build: Callable[..., twosample.Statistic], draw: Draw, shift: float, rate: float, trials: int) -> int:
    rng = np.random.default_rng(20251024)
    found = 0
    for _ in range(trials):
        pooled = np.concatenate([draw(rng, 40, 0.0), draw(rng, 40, shift)])
        found += twosample.compare(build(pooled), 40, 80, 99, rate, rng).drifted
    return found


CASES = [(twosample.ks, lengths), (twosample.jensen_shannon, histograms), (twosample.mmd, histograms)]


@pytest.mark.parametrize(("build", "draw"), CASES, ids=["ks", "jensen_shannon", "mmd"])
def test_the_false_alarm_rate_is_the_one_asked_for(build: Callable[..., twosample.Statistic], draw: Draw) -> None:
    trials, rate = 500, 0.05
    found = drifts(build, draw, 0.0, rate, trials)
    assert stats.binomtest(found, trials, rate).pvalue > 0.001, f"{found} alarms in {trials} trials"


@pytest.mark.parametrize(("build", "draw"), CASES, ids=["ks", "jensen_shannon", "mmd"])
def test_a_real_change_is_found(build: Callable[..., twosample.Statistic], draw: Draw) -> None:
    assert drifts(build, draw, 1.5, 0.01, 50) >= 45


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.01, 0.05, 0.1]))
def test_drift_is_exactly_a_statistic_above_its_threshold(seed: int, rate: float) -> None:
    rng = np.random.default_rng(seed)
    values = np.concatenate([rng.normal(size=15), rng.normal(1.0, size=15)])
    found = twosample.compare(twosample.ks(values), 15, 30, 99, rate, rng)
    assert found.drifted == (found.statistic > found.threshold + 1e-12) == (found.p_value <= rate + 1e-12)


@pytest.mark.parametrize(
    ("first", "permutations", "rate", "problem"),
    [(0, 99, 0.05, "must have members"), (5, 99, 0.05, "must have members"), (2, 99, 0.001, "99 permutations")],
)
def test_refuses_what_cannot_be_judged(first: int, permutations: int, rate: float, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        twosample.compare(twosample.ks(np.arange(5.0)), first, 5, permutations, rate, np.random.default_rng(0))
