"""Do both roles learn? Each is held against a fixed early partner (paper section 4).

A fixed early Reasoner meets later Challengers: if its pass rate falls, tasks got
harder. A fixed early Challenger's tasks meet later Reasoners: if their pass rate
rises, answers got better. Fine curves are no evidence that self-play *helps*;
only the held-out comparison is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal

import numpy as np

from spice.evaluation.statistics import clustered_interval
from spice.rollout.base import Engine
from spice.selfplay.types import Task

Series = Literal["early_reasoner", "early_challenger"]
Pose = Callable[[Engine], Mapping[str, Task]]
"""Lets the engine pose tasks; the result holds a valid one per document, by document id."""
Solve = Callable[[Engine, Sequence[Task]], Sequence[Sequence[bool]]]
"""Lets the engine answer each task several times; says which answers were right."""
Load = Callable[[str], AbstractContextManager[Engine]]
"""Opens the engine of a checkpoint; one is open at a time."""


@dataclass(frozen=True)
class Point:
    """One point of the figure.

    Attributes:
        series: which role is held fixed.
        checkpoint: of the role that is not fixed.
        iteration: after which it was saved; 0 is the base.
        tasks: tasks, one per document.
        pass_rate: mean share of right answers, or `None` if no valid task was posed.
        low: lower 95% bound, clustered bootstrap over documents.
        high: upper bound.
    """

    series: Series
    checkpoint: str
    iteration: int
    tasks: int
    pass_rate: float | None
    low: float | None
    high: float | None


def measure(
    checkpoints: Sequence[tuple[int, str]],
    load: Load,
    pose: Pose,
    solve: Solve,
    *,
    samples: int,
    rng: np.random.Generator,
) -> list[Point]:
    """Compute both series.

    Each checkpoint is loaded once, and the earliest a second time to answer what the later ones posed.

    Args:
        checkpoints: (iteration, reference), the earliest first; it is the fixed partner in both series.
        load: opens a checkpoint's engine.
        pose: how a Challenger poses tasks on the chosen documents.
        solve: how a Reasoner answers them.
        samples: bootstrap resamples.
        rng: draws them.
    """
    early_tasks: Mapping[str, Task] = {}
    posed: list[Mapping[str, Task]] = []
    answered: list[Mapping[str, float]] = []
    for position, (_, ref) in enumerate(checkpoints):
        with load(ref) as engine:
            tasks = pose(engine)
            early_tasks = tasks if position == 0 else early_tasks
            posed.append(tasks)
            answered.append(_rates(engine, early_tasks, solve))
    points = [
        _point("early_challenger", checkpoint, rates, samples, rng)
        for checkpoint, rates in zip(checkpoints, answered, strict=True)
    ]
    with load(checkpoints[0][1]) as engine:
        by_early = [answered[0], *(_rates(engine, tasks, solve) for tasks in posed[1:])]
    return points + [
        _point("early_reasoner", checkpoint, rates, samples, rng)
        for checkpoint, rates in zip(checkpoints, by_early, strict=True)
    ]


def _rates(engine: Engine, tasks: Mapping[str, Task], solve: Solve) -> dict[str, float]:
    """Pass rate by document."""
    if not tasks:
        return {}
    answers = solve(engine, list(tasks.values()))
    return {document: sum(right) / len(right) for document, right in zip(tasks, answers, strict=True)}


def _point(
    series: Series, checkpoint: tuple[int, str], rates: Mapping[str, float], samples: int, rng: np.random.Generator
) -> Point:
    iteration, ref = checkpoint
    if not rates:
        return Point(series, ref, iteration, 0, None, None, None)
    interval = clustered_interval(list(rates.values()), list(rates), samples, rng)
    mean = sum(rates.values()) / len(rates)
    return Point(series, ref, iteration, len(rates), mean, max(0.0, interval.low), min(1.0, interval.high))
