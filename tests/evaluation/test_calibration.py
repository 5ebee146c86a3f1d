from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spice.evaluation.calibration import brier, calibration, ece
from spice.evaluation.items import Item, ItemResult, Suite
from spice.selfplay.types import Task

TASK = Task("multiple_choice", "q", "a", options=("a", "b"))


def suite(n: int) -> Suite:
    return Suite("s", "cloze", tuple(Item(str(i), f"d{i // 2}", TASK, "") for i in range(n)), forced=True)


def results(confidences: list[float | None], correct: list[bool]) -> list[ItemResult]:
    return [ItemResult(str(i), c, "a", "", False, p) for i, (p, c) in enumerate(zip(confidences, correct))]


@pytest.mark.parametrize(
    ("confidence", "correct", "expected_brier", "expected_ece"),
    [
        ([1.0, 1.0], [1.0, 1.0], 0.0, 0.0),
        ([1.0, 1.0], [0.0, 0.0], 1.0, 1.0),
        ([0.75] * 4, [1.0, 1.0, 1.0, 0.0], 0.1875, 0.0),
        ([0.95, 0.55], [1.0, 0.0], (0.05**2 + 0.55**2) / 2, (0.05 + 0.55) / 2),
    ],
)
def test_scores(confidence: list[float], correct: list[float], expected_brier: float, expected_ece: float) -> None:
    columns = np.asarray(confidence), np.asarray(correct), np.ones(len(correct))
    assert brier(*columns) == pytest.approx(expected_brier)
    assert ece(*columns) == pytest.approx(expected_ece)


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans(), st.integers(1, 3)), min_size=1, max_size=30))
def test_a_weight_is_a_repetition(rows: list[tuple[float, bool, int]]) -> None:
    weighted = tuple(np.asarray(column, dtype=float) for column in zip(*rows))
    repeated = [(p, c, 1) for p, c, weight in rows for _ in range(weight)]
    plain = tuple(np.asarray(column, dtype=float) for column in zip(*repeated))
    for score in (brier, ece):
        assert score(*weighted) == pytest.approx(score(*plain))


def test_growing_overconfidence_is_seen_with_its_interval() -> None:
    correct = [i % 3 == 0 for i in range(201)]
    found = calibration(
        suite(201), results([1 / 3] * 201, correct), results([0.99] * 201, correct), 300, np.random.default_rng(0)
    )
    for name in ("calibration_brier", "calibration_ece"):
        assert 0 < found[name].low < found[name].value < found[name].high
    assert (found["calibration_ece"].base, found["calibration_ece"].candidate) == pytest.approx((0.0, 0.99 - 1 / 3))
    assert found["calibration_brier"].clusters == 101


def test_without_confidences_nothing_is_said() -> None:
    some, none = results([0.5], [True]), results([None], [True])
    assert calibration(suite(1), some, none, 10, np.random.default_rng(0)) == {}
