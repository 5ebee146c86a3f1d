from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spice.arena.analysis import accuracy, at_budget, collapse, difference, estimate, holm


def test_one_seed_is_a_t_interval_over_items() -> None:
    table = np.array([[1, 0, 1, 1, 0, 1, 1, 1]])
    found = estimate(table)
    half = 2.3646 * table.std(ddof=1) / np.sqrt(8)
    assert found.value == pytest.approx(0.75)
    assert (found.low, found.high) == pytest.approx((0.75 - half, 0.75 + half), abs=1e-4)


def test_seeds_that_differ_widen_the_interval() -> None:
    rng = np.random.default_rng(0)
    alike = rng.random((3, 500)) < 0.6
    apart = np.stack([rng.random(500) < share for share in (0.3, 0.6, 0.9)])
    assert estimate(apart).high - estimate(apart).low > 5 * (estimate(alike).high - estimate(alike).low)


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_the_interval_covers_the_truth(seeds: int) -> None:
    """Seeds and items both random: the interval of their difference to another recipe holds the true one."""
    rng = np.random.default_rng(seeds)
    covered = 0
    for _ in range(400):
        skill = 0.1 + 0.04 * rng.standard_normal((seeds, 1))
        item = 0.2 * (rng.random((1, 300)) - 0.5)
        ours, theirs = rng.random((2, seeds, 300))
        found = difference(ours < 0.5 + skill + item, theirs < 0.5 + item)
        covered += found.low <= 0.1 <= found.high
    assert covered / 400 > 0.92


def test_a_certain_table_has_no_width() -> None:
    found = estimate(np.ones((3, 4)))
    assert (found.value, found.low, found.high, found.p) == (1.0, 1.0, 1.0, 0.0)
    assert difference(np.ones((3, 4)), np.ones((3, 4))).p == 1.0


@pytest.mark.parametrize("shape", [(0, 5), (2, 1), (4,)], ids=str)
def test_too_small_a_table_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="seeds by items"):
        estimate(np.zeros(shape))


def test_unpaired_tables_are_refused() -> None:
    with pytest.raises(ValueError, match="equal seeds and items"):
        difference(np.zeros((2, 5)), np.zeros((3, 5)))


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_keeps_order_and_never_helps(values: list[float]) -> None:
    adjusted = holm(values)
    assert all(before <= after <= 1 for before, after in zip(values, adjusted, strict=True))
    ranked = [after for _, after in sorted(zip(values, adjusted, strict=True))]
    assert ranked == sorted(ranked)


@pytest.mark.parametrize(
    ("shares", "expected"),
    [([0.5, 0.6, 0.7], None), ([0.5, 0.2, 0.1], 1), ([0.5, 0.6, 0.1], 2), ([0.5, 0.1, 0.6], None), ([0.5], None)],
    ids=str,
)
def test_collapse_is_a_fall_without_recovery(shares: list[float], expected: int | None) -> None:
    readings = [np.arange(200) < 200 * share for share in shares]
    assert collapse(readings) == expected


@pytest.mark.parametrize(("limit", "index"), [(0, 0), (9.9, 0), (10, 1), (25, 2), (99, 3)])
def test_the_last_reading_within_a_budget(limit: float, index: int) -> None:
    assert at_budget([0, 10, 20, 30], limit) == index


def test_an_accuracy_stays_a_share() -> None:
    right = np.array([[1, 1, 1, 1], [1, 1, 1, 0], [0, 0, 1, 0]])
    assert estimate(right).high > 1
    found = accuracy(right)
    assert (found.value, found.high) == (estimate(right).value, 1.0)
    assert found.low == max(0.0, estimate(right).low)
