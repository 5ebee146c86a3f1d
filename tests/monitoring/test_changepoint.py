from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from spice.monitoring.changepoint import Cusum, detect, threshold_for

RATE, SIZE, HORIZON = 0.05, 1.0, 120

Noise = Callable[[np.random.Generator, int], NDArray[np.float64]]
NOISES: dict[str, Noise] = {
    "normal": lambda rng, n: rng.normal(size=n),
    "heavy tails": lambda rng, n: rng.standard_t(1.5, size=n),
    "pass rates of 32 answers": lambda rng, n: rng.binomial(32, 0.4, size=n) / 32,
}


def run(values: NDArray[np.float64]) -> tuple[Cusum, Cusum]:
    return detect(values.tolist(), threshold_for(HORIZON, RATE, SIZE, 1), SIZE)


@pytest.mark.parametrize("noise", NOISES.values(), ids=NOISES.keys())
def test_false_alarms_in_a_whole_series_are_as_rare_as_stated(noise: Noise) -> None:
    rng, trials = np.random.default_rng(7), 400
    alarms = sum(any(side.detected for side in run(noise(rng, HORIZON))) for _ in range(trials))
    assert stats.binomtest(alarms, trials, RATE, alternative="greater").pvalue > 0.001, alarms
    assert alarms > 0


@pytest.mark.parametrize(("shift", "direction"), [(-2.0, "down"), (2.0, "up")])
@pytest.mark.parametrize("noise", ["normal", "pass rates of 32 answers"])
def test_a_change_of_two_deviations_is_found_in_its_direction(noise: str, shift: float, direction: str) -> None:
    rng, trials = np.random.default_rng(8), 60
    found, places = 0, []
    for _ in range(trials):
        values = NOISES[noise](rng, HORIZON)
        values[60:] += shift * values.std()
        for side in run(values):
            if side.direction == direction and side.since is not None:
                found += 1
                places.append(side.since)
    assert found >= 0.9 * trials
    assert 50 <= np.median(places) <= 70


def test_nothing_is_said_of_a_series_that_does_not_vary() -> None:
    assert [side.statistic for side in run(np.full(50, 0.4))] == [0.0, 0.0]
    assert not any(side.detected for side in run(np.array([])))


@given(st.lists(st.integers(0, 20), max_size=40), st.floats(0.5, 3.0))
def test_only_the_order_of_the_figures_counts(values: list[int], scale: float) -> None:
    threshold = threshold_for(40, 0.05, 1.0, 1)
    assert detect(values, threshold, 1.0) == detect([scale * value - 5 for value in values], threshold, 1.0)


def test_looking_at_a_growing_series_finds_what_looking_at_the_end_finds() -> None:
    rng = np.random.default_rng(3)
    values = np.concatenate([rng.normal(size=40), rng.normal(-3, size=20)])
    firsts = [n for n in range(1, 61) if run(values[:n])[1].detected]
    assert firsts == list(range(firsts[0], 61))
    assert run(values[: firsts[0]])[1].since == run(values)[1].since


def test_a_lower_rate_and_a_longer_series_need_a_higher_threshold() -> None:
    assert threshold_for(100, 0.01, 1.0, 1) > threshold_for(100, 0.1, 1.0, 1)
    assert threshold_for(400, 0.05, 1.0, 1) > threshold_for(50, 0.05, 1.0, 1)
