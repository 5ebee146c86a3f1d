from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from spice.evaluation import coevolution
from spice.evaluation.coevolution import Cell, Solved
from spice.selfplay.types import Task

CHECKPOINTS = [(0, "checkpoints/base"), (6, "checkpoints/mid"), (12, "checkpoints/late")]
SKILL = {"checkpoints/base": 4, "checkpoints/mid": 6, "checkpoints/late": 8}
DIFFICULTY = {"checkpoints/base": 0, "checkpoints/mid": 1, "checkpoints/late": 3}


@dataclass
class World:
    """A policy is its checkpoint; of eight answers it gets skill minus the task's difficulty right.

    The last Challenger's gold answers are false, so that what passes there is not true.

    """

    documents: tuple[str, ...] = ("a", "b", "c", "d")
    oracle: bool = False
    opened: int = 0

    @contextmanager
    def load(self, ref: str) -> Iterator[Any]:
        self.opened += 1
        assert self.opened == 1
        yield ref
        self.opened -= 1

    def pose(self, engine: Any) -> dict[str, Task]:
        gold = "false" if engine == "checkpoints/late" else "true"
        return {name: Task("free_form", str(DIFFICULTY[engine]), gold) for name in self.documents}

    def solve(self, engine: Any, tasks: Sequence[Task]) -> list[Solved]:
        found = []
        for task in tasks:
            correct = [i < SKILL[engine] - int(task.question) for i in range(8)]
            true = [right == (task.answer == "true") for right in correct]
            found.append(Solved(correct, true if self.oracle else None))
        return found

    def measure(self, **other: Any) -> list[Cell]:
        options = {"samples": 200, "rng": np.random.default_rng(0)} | other
        return coevolution.measure(CHECKPOINTS, self.load, options.pop("pose", self.pose), self.solve, **options)


def values(cells: Sequence[Cell]) -> dict[tuple[int, int], float | None]:
    return {(cell.challenger, cell.reasoner): cell.passed.value if cell.passed else None for cell in cells}


def test_every_challenger_meets_every_reasoner() -> None:
    cells = World().measure()
    assert [(cell.challenger, cell.reasoner) for cell in cells] == [(c, r) for c in (0, 6, 12) for r in (0, 6, 12)]
    found = values(cells)
    assert [found[0, later] for later in (0, 6, 12)] == [0.5, 0.75, 1.0]
    assert [found[later, 0] for later in (0, 6, 12)] == [0.5, 0.375, 0.125]
    assert found[12, 12] == 0.625
    assert all(cell.tasks == 4 and cell.true is None for cell in cells)


def test_collusion_parts_passed_from_true() -> None:
    cells = {(cell.challenger, cell.reasoner): cell for cell in World(oracle=True).measure()}
    assert cells[0, 12].true.value == cells[0, 12].passed.value == 1.0
    assert (cells[12, 12].passed.value, cells[12, 12].true.value) == (0.625, 0.375)


def test_a_challenger_with_weights_of_its_own_poses_with_them() -> None:
    posing = [(0, "checkpoints/base"), (6, "checkpoints/late"), (12, "checkpoints/late")]
    found = values(World().measure(posing=posing))
    assert found[6, 0] == found[12, 0] == 0.125


def test_changes_of_both_curves() -> None:
    found = {change.series: change for change in coevolution.changes(World().measure(), 200, np.random.default_rng(0))}
    assert found["early_reasoner"].passed.value == -0.375
    assert found["early_challenger"].passed.value == 0.5
    assert all(change.true is None for change in found.values())


def test_a_checkpoint_without_valid_tasks_leaves_a_gap() -> None:
    world = World()
    cells = world.measure(pose=lambda engine: {} if engine == "checkpoints/mid" else world.pose(engine))
    found = values(cells)
    assert (found[6, 0], found[6, 12], found[0, 6]) == (None, None, 0.75)
    last = coevolution.changes(
        world.measure(pose=lambda engine: {} if engine == "checkpoints/late" else world.pose(engine)),
        200,
        np.random.default_rng(0),
    )
    assert [change.passed is None for change in last] == [True, False]


@pytest.mark.parametrize("documents", [("a",), ("a", "b")])
def test_few_documents_give_a_wide_interval_within_bounds(documents: tuple[str, ...]) -> None:
    for cell in World(documents).measure():
        assert 0.0 <= cell.passed.low <= cell.passed.value <= cell.passed.high <= 1.0
        if len(documents) == 1:
            assert (cell.passed.low, cell.passed.high) == (0.0, 1.0)


@pytest.mark.parametrize(("most", "expected"), [(2, [0, 12]), (3, [0, 6, 12]), (9, [0, 6, 12]), (1, [0, 12])], ids=str)
def test_spread_keeps_both_ends(most: int, expected: list[int]) -> None:
    assert [iteration for iteration, _ in coevolution.spread(CHECKPOINTS, most)] == expected
