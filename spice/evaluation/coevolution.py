"""Do both roles learn? Every checkpoint's Challenger meets every checkpoint's Reasoner (paper section 4).

The paper shows the first column and the first row of this matrix. A fixed early
Reasoner meets later Challengers: if its pass rate falls, tasks got harder. A fixed
early Challenger's tasks meet later Reasoners: if their pass rate rises, answers got
better. Fine curves are no evidence that self-play *helps*; only the held-out
comparison is.

A pass is an answer that equals the Challenger's own gold answer. Where an oracle
knows better, the share of true answers stands beside it: roles that collude on
false labels make the two part.
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
Checkpoint = tuple[int, str]
"""After how many iterations it was saved (0 is the base), and its reference."""


@dataclass(frozen=True)
class Solved:
    """The answers to one task.

    Attributes:
        correct: which of them equal the gold answer.
        true: which of them are true by an oracle, or `None` where there is none.
    """

    correct: Sequence[bool]
    true: Sequence[bool] | None = None


Pose = Callable[[Engine], Mapping[str, Task]]
"""Lets the engine pose tasks; the result holds a valid one per document, by document id."""
Solve = Callable[[Engine, Sequence[Task]], Sequence[Solved]]
"""Lets the engine answer each task several times."""
Load = Callable[[str], AbstractContextManager[Engine]]
"""Opens the engine of a checkpoint; one is open at a time."""


@dataclass(frozen=True)
class Rate:
    """A share of answers with its 95% interval, clustered bootstrap over documents."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Cell:
    """One Challenger's tasks before one Reasoner.

    Attributes:
        challenger: iteration of the checkpoint that posed.
        reasoner: iteration of the checkpoint that answered.
        tasks: tasks, one per document.
        passed: share of answers that equal the gold answer, `None` if no valid task was posed.
        true: share of answers that are true, `None` without an oracle too.
        by_document: share of passed and of true answers for each document that has a task.
    """

    challenger: int
    reasoner: int
    tasks: int
    passed: Rate | None
    true: Rate | None
    by_document: Mapping[str, tuple[float, float | None]]


@dataclass(frozen=True)
class Change:
    """How a series moved from its first to its last checkpoint, paired by document; `None` if that cannot be said."""

    series: Series
    passed: Rate | None
    true: Rate | None


def measure(
    checkpoints: Sequence[Checkpoint],
    load: Load,
    pose: Pose,
    solve: Solve,
    *,
    posing: Sequence[Checkpoint] | None = None,
    samples: int,
    rng: np.random.Generator,
) -> list[Cell]:
    """Compute the matrix, row by row of Challengers, each row in order of Reasoners.

    Each checkpoint is loaded twice: to pose, and to answer what all have posed.

    Args:
        checkpoints: the Reasoners, the earliest first.
        load: opens a checkpoint's engine.
        pose: how a Challenger poses tasks on the chosen documents.
        solve: how a Reasoner answers them.
        posing: the Challengers at the same iterations, where they have weights of their own.
        samples: bootstrap resamples.
        rng: draws them.
    """
    posed: list[tuple[int, Mapping[str, Task]]] = []
    for iteration, ref in posing or checkpoints:
        with load(ref) as engine:
            posed.append((iteration, pose(engine)))
    cells: dict[tuple[int, int], Cell] = {}
    for reasoner, ref in checkpoints:
        with load(ref) as engine:
            for challenger, tasks in posed:
                rates = _rates(engine, tasks, solve)
                cells[challenger, reasoner] = _cell(challenger, reasoner, rates, samples, rng)
    return [cells[challenger, reasoner] for challenger, _ in posed for reasoner, _ in checkpoints]


def changes(cells: Sequence[Cell], samples: int, rng: np.random.Generator) -> list[Change]:
    """How far the paper's two curves moved: the first against the last cell of the first column and the first row."""
    first = cells[0]
    ends: tuple[tuple[Series, Cell], ...] = (
        ("early_reasoner", [cell for cell in cells if cell.reasoner == first.reasoner][-1]),
        ("early_challenger", [cell for cell in cells if cell.challenger == first.challenger][-1]),
    )
    return [_change(series, first, last, samples, rng) for series, last in ends]


def spread(checkpoints: Sequence[Checkpoint], most: int) -> list[Checkpoint]:
    """At most `most` of the checkpoints, evenly spread, the first and the last among them."""
    if len(checkpoints) <= most:
        return list(checkpoints)
    places = np.linspace(0, len(checkpoints) - 1, max(2, most)).round().astype(int)
    return [checkpoints[place] for place in dict.fromkeys(places.tolist())]


def _rates(engine: Engine, tasks: Mapping[str, Task], solve: Solve) -> dict[str, tuple[float, float | None]]:
    if not tasks:
        return {}
    solved = solve(engine, list(tasks.values()))
    return {
        document: (_share(one.correct), _share(one.true) if one.true is not None else None)
        for document, one in zip(tasks, solved, strict=True)
    }


def _cell(
    challenger: int,
    reasoner: int,
    rates: Mapping[str, tuple[float, float | None]],
    samples: int,
    rng: np.random.Generator,
) -> Cell:
    passed = {document: rate for document, (rate, _) in rates.items()}
    true = {document: rate for document, (_, rate) in rates.items() if rate is not None}
    return Cell(
        challenger,
        reasoner,
        len(rates),
        _rate(passed, samples, rng, 0.0),
        _rate(true, samples, rng, 0.0),
        rates,
    )


def _change(series: Series, first: Cell, last: Cell, samples: int, rng: np.random.Generator) -> Change:
    shared = [document for document in first.by_document if document in last.by_document]
    pairs = {document: (first.by_document[document], last.by_document[document]) for document in shared}
    passed = {document: after[0] - before[0] for document, (before, after) in pairs.items()}
    true = {
        document: after[1] - before[1]
        for document, (before, after) in pairs.items()
        if before[1] is not None and after[1] is not None
    }
    return Change(series, _rate(passed, samples, rng, -1.0), _rate(true, samples, rng, -1.0))


def _rate(rates: Mapping[str, float], samples: int, rng: np.random.Generator, least: float) -> Rate | None:
    """The mean with its interval, within [`least`, 1]."""
    if not rates:
        return None
    interval = clustered_interval(list(rates.values()), list(rates), samples, rng)
    return Rate(_share(list(rates.values())), max(least, interval.low), min(1.0, interval.high))


def _share(values: Sequence[float]) -> float:
    return sum(values) / len(values)
