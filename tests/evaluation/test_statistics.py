from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import permutation_test
from statsmodels.stats.contingency_tables import mcnemar as sm_mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from spice.evaluation import statistics
from spice.evaluation.statistics import Interval

TABLES = [(0, 0, 60), (12, 2, 50), (2, 12, 50), (5, 0, 240), (33, 20, 240), (7, 7, 14), (60, 0, 60), (1, 0, 1)]


@pytest.mark.parametrize("correct", [0, 1, 17, 59, 60])
def test_wilson_is_that_of_statsmodels(correct: int) -> None:
    interval = statistics.wilson(correct, 60)
    assert (interval.low, interval.high) == pytest.approx(proportion_confint(correct, 60, method="wilson"), abs=1e-12)


def test_wilson_of_nothing_excludes_nothing() -> None:
    assert statistics.wilson(0, 0) == Interval(0.0, 1.0)


@pytest.mark.parametrize(("gained", "lost"), [(0, 0), (5, 0), (33, 20), (2, 12), (7, 7)])
def test_mcnemar_is_that_of_statsmodels(gained: int, lost: int) -> None:
    expected = sm_mcnemar([[9, gained], [lost, 9]], exact=True).pvalue if gained + lost else 1.0
    assert statistics.mcnemar(gained, lost) == pytest.approx(expected)


@pytest.mark.parametrize(("gained", "lost", "n"), [(12, 2, 50), (33, 20, 240), (3, 9, 40), (7, 7, 30)])
def test_tango_bounds_are_where_the_constrained_score_test_rejects(gained: int, lost: int, n: int) -> None:
    """The nuisance parameter is found by numerical maximum likelihood here, not by Tango's closed form."""

    def z(d: float) -> float:
        def loss(p_lost: float) -> float:
            p_gained = p_lost + d
            same = n - gained - lost
            return -(gained * np.log(p_gained) + lost * np.log(p_lost) + same * np.log(1 - p_gained - p_lost))

        edge = 1e-9
        bounds = (max(edge, edge - d), (1 - d) / 2 - edge)
        p_lost = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-12}).x
        return (gained - lost - n * d) / np.sqrt(n * (2 * p_lost + d - d * d))

    interval = statistics.tango(gained, lost, n)
    assert z(interval.low) == pytest.approx(1.959964, abs=1e-3)
    assert z(interval.high) == pytest.approx(-1.959964, abs=1e-3)


@pytest.mark.parametrize(("gained", "lost", "n"), TABLES)
def test_tango_mirrors_and_contains_the_estimate(gained: int, lost: int, n: int) -> None:
    interval, mirrored = statistics.tango(gained, lost, n), statistics.tango(lost, gained, n)
    assert interval.low <= (gained - lost) / n <= interval.high
    assert (interval.low, interval.high) == pytest.approx((-mirrored.high, -mirrored.low), abs=1e-6)


def test_agreement_on_few_items_shows_little() -> None:
    same = [True, False] * 5
    found = statistics.difference(same, same, [str(i) for i in range(10)], 200, np.random.default_rng(0))
    assert found.bootstrap == Interval(0.0, 0.0)
    assert found.interval.low == pytest.approx(-(1.96**2) / (10 + 1.96**2), abs=1e-3)
    assert found.lower_bound < -0.2


def test_difference_counts() -> None:
    base, candidate = [True, True, False, False], [True, False, True, True]
    found = statistics.difference(base, candidate, ["a", "a", "b", "c"], 500, np.random.default_rng(0))
    assert (found.value, found.discordant, found.n, found.clusters, found.mcnemar_p) == (0.25, 3, 4, 3, 1.0)


@pytest.mark.parametrize("base", [[], [True, False]])
def test_unpaired_results_are_refused(base: list[bool]) -> None:
    with pytest.raises(ValueError, match="unpaired or empty"):
        statistics.difference(base, base[1:], ["a"] * len(base), 100, np.random.default_rng(0))


def test_whole_clusters_are_drawn() -> None:
    """Items that repeat each other add no information: forty copies of each item leave the interval as wide."""
    rng = np.random.default_rng(3)
    change = rng.integers(-1, 2, size=60).astype(float)
    once = statistics.clustered_interval(change, [str(i) for i in range(60)], 4000, np.random.default_rng(0))
    copied = np.repeat(change, 40)
    copies = statistics.clustered_interval(copied, [str(i // 40) for i in range(2400)], 4000, np.random.default_rng(0))
    assert copies.high - copies.low == pytest.approx(once.high - once.low, rel=0.1)


def test_one_cluster_tells_nothing() -> None:
    interval = statistics.clustered_interval([1.0, 0.0, 1.0], ["a"] * 3, 100, np.random.default_rng(0))
    assert interval == Interval(-1.0, 1.0)


def test_a_seed_fixes_the_interval() -> None:
    values, clusters = list(np.random.default_rng(1).random(50)), [str(i % 13) for i in range(50)]
    first, second = (statistics.clustered_interval(values, clusters, 300, np.random.default_rng(7)) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("true_difference", [0.0, 0.12])
@pytest.mark.parametrize("clusters", [12, 40])
def test_coverage_with_correlated_items(true_difference: float, clusters: int) -> None:
    """Documents differ in how much the candidate gains on them; the 95% interval must hold the truth about 95 times."""
    rng = np.random.default_rng(clusters)
    per_cluster, trials, held = 6, 300, 0
    names = [str(i) for i in np.repeat(np.arange(clusters), per_cluster)]
    for _ in range(trials):
        shift = np.repeat(true_difference + 0.2 * rng.uniform(-1, 1, clusters), per_cluster)
        base = rng.random(len(names)) < 0.4
        candidate = rng.random(len(names)) < 0.4 + shift
        interval = statistics.difference(base, candidate, names, 300, rng).interval
        held += interval.low <= true_difference <= interval.high
    assert held / trials > 0.92


def test_sample_size_gives_the_power_it_promises() -> None:
    margin, share, trials = 0.05, 0.1, 2000
    n = statistics.sample_size(margin, share, power=0.8)
    rng = np.random.default_rng(0)
    gained = rng.binomial(n, share / 2, trials)
    lost = rng.binomial(n - gained, (share / 2) / (1 - share / 2))
    bounds = [statistics.tango(*pair, n, alpha=0.1).low for pair in zip(gained, lost, strict=True)]
    shown = np.mean(np.array(bounds) > -margin)
    assert shown == pytest.approx(0.8, abs=0.04)


@given(
    st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 5)), min_size=1, max_size=40),
    st.integers(0, 2**32 - 1),
)
def test_invariants(rows: list[tuple[bool, bool, int]], seed: int) -> None:
    base, candidate, clusters = [r[0] for r in rows], [r[1] for r in rows], [str(r[2]) for r in rows]
    found = statistics.difference(base, candidate, clusters, 100, np.random.default_rng(seed))
    assert -1 <= found.interval.low <= found.lower_bound <= 1
    assert found.interval.low <= found.value <= found.interval.high <= 1
    assert found.interval.low <= found.score.low
    assert 0 <= found.mcnemar_p <= 1


p_values = st.lists(st.floats(0.0, 1.0), min_size=1, max_size=12)


@given(p_values)
def test_holm_is_that_of_statsmodels(values: list[float]) -> None:
    assert statistics.holm(values) == pytest.approx(multipletests(values, method="holm")[1])


def test_holm_of_nothing_is_nothing() -> None:
    assert statistics.holm([]) == []


@pytest.mark.parametrize("sums", [[1.0, 1, 1, 1, 1], [2, -1, 3, 0.5, 0, 1], [1, -1], [0.0, 0], []])
def test_sign_flips_are_those_of_scipy_where_all_can_be_tried(sums: list[float]) -> None:
    expected = 1.0
    if any(sums):
        changed = np.asarray([each for each in sums if each])
        expected = permutation_test((changed,), np.sum, permutation_type="samples", n_resamples=np.inf).pvalue
    assert statistics.sign_flip(np.asarray(sums, dtype=float), 100, np.random.default_rng(0)) == pytest.approx(expected)


def test_sign_flips_of_many_single_items_agree_with_mcnemar() -> None:
    sums = np.asarray([1.0] * 33 + [-1.0] * 20)
    found = statistics.sign_flip(sums, 100_000, np.random.default_rng(0))
    assert found == pytest.approx(statistics.mcnemar(33, 20), abs=0.005)


def test_the_paired_test_knows_that_samples_of_one_question_are_no_evidence_of_their_own() -> None:
    base, candidate = [False] * 96, [i < 32 for i in range(96)]
    rng = np.random.default_rng(0)
    alone = statistics.difference(base, candidate, [str(i) for i in range(96)], 500, rng)
    shared = statistics.difference(base, candidate, [str(i // 8) for i in range(96)], 500, rng)
    assert alone.p_value == alone.mcnemar_p == shared.mcnemar_p < 1e-6
    assert shared.p_value == pytest.approx(2 * 0.5**4)


def test_the_bootstrap_of_a_mean_is_the_clustered_one() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=120)
    clusters = [str(i // 3) for i in range(120)]
    general = statistics.bootstrap(
        lambda weights: float(np.average(values, weights=weights)), clusters, 4000, np.random.default_rng(1)
    )
    special = statistics.clustered_interval(values.tolist(), clusters, 4000, np.random.default_rng(2))
    assert (general.low, general.high) == pytest.approx((special.low, special.high), abs=0.02)
    assert general.low < values.mean() < general.upper_bound < general.high


@pytest.mark.parametrize(
    ("size", "intraclass", "factor"), [(1, 0.9, 1.0), (5, 0.0, 1.0), (5, 1.0, 5.0), (5, 0.25, 2.0)]
)
def test_clusters_need_more_items_by_the_design_effect(size: float, intraclass: float, factor: float) -> None:
    plain = statistics.sample_size(0.01, 0.1)
    assert statistics.sample_size(0.01, 0.1, cluster_size=size, intraclass=intraclass) == pytest.approx(
        plain * factor, abs=factor
    )


def test_many_samples_of_few_questions_show_no_more_than_the_questions() -> None:
    same, clusters = [False] * 64, [str(i // 32) for i in range(64)]
    rng = np.random.default_rng(0)
    as_items = statistics.difference(same, same, clusters, 100, rng)
    as_samples = statistics.difference(same, same, clusters, 100, rng, repeated=True)
    assert as_items.lower_bound > -0.05
    assert as_samples.interval.low == pytest.approx(statistics.tango(0, 0, 2).low)
