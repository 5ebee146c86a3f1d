from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from spice.evaluation.statistics import Difference, Interval, difference
from spice.evaluation.verdicts import MIN_CLUSTERS, judge


@dataclass(frozen=True)
class Case:
    name: str
    low: float
    high: float
    expected: str
    bound: float | None = None
    p: float = 0.01
    clusters: int = 50
    margin: float = 0.05
    min_improvement: float = 0.0


CASES = [
    Case("above zero", 0.01, 0.20, "better"),
    Case("touches zero", 0.00, 0.20, "not_worse"),
    Case("above zero, but McNemar disagrees", 0.01, 0.20, "not_worse", p=0.06),
    Case("above the required improvement", 0.04, 0.20, "better", min_improvement=0.03),
    Case("below the required improvement", 0.02, 0.20, "not_worse", min_improvement=0.03),
    Case("a negative requirement does not make a loss better", -0.02, 0.10, "not_worse", min_improvement=-0.1),
    Case("within the margin", -0.04, 0.04, "not_worse"),
    Case("on the margin", -0.05, 0.04, "inconclusive"),
    Case("two-sided beyond, one-sided within", -0.055, 0.05, "not_worse", bound=-0.045),
    Case("cannot exclude the margin", -0.10, 0.04, "inconclusive"),
    Case("small but certain loss", -0.04, -0.01, "worse"),
    Case("large loss", -0.30, -0.10, "worse"),
    Case("too few clusters to be better", 0.10, 0.20, "inconclusive", clusters=MIN_CLUSTERS - 1),
    Case("just enough clusters", 0.10, 0.20, "better", clusters=MIN_CLUSTERS),
    Case("no margin, no loss", 0.0, 0.0, "inconclusive", margin=0.0),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_rule(case: Case) -> None:
    interval = Interval(case.low, case.high)
    measured = Difference(
        value=(case.low + case.high) / 2,
        interval=interval,
        bootstrap=interval,
        score=interval,
        lower_bound=case.low if case.bound is None else case.bound,
        mcnemar_p=case.p,
        p_value=case.p,
        discordant=20,
        n=200,
        clusters=case.clusters,
    )
    verdict, reason = judge(measured, case.margin, case.min_improvement)
    assert verdict == case.expected
    assert reason


def test_inconclusive_says_how_many_items_would_do() -> None:
    base, candidate = [True, False] * 30, [True, False] * 26 + [False, True] * 4
    measured = difference(base, candidate, [str(i) for i in range(60)], 500, np.random.default_rng(0))
    verdict, reason = judge(measured, 0.05)
    assert verdict == "inconclusive"
    assert "about 330 items" in reason


def test_equal_models_are_seldom_called_better_or_worse() -> None:
    rng = np.random.default_rng(5)
    names = [str(i // 5) for i in range(200)]
    verdicts = []
    for _ in range(300):
        base, candidate = rng.random(200) < 0.3, rng.random(200) < 0.3
        verdicts.append(judge(difference(base, candidate, names, 200, rng), 0.05)[0])
    assert verdicts.count("better") <= 15
    assert verdicts.count("worse") <= 15
