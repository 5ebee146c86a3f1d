from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from spice.evaluation import coevolution
from spice.selfplay.types import Task

CHECKPOINTS = [(0, "checkpoints/base"), (6, "checkpoints/mid"), (12, "checkpoints/late")]
SKILL = {"checkpoints/base": 4, "checkpoints/mid": 6, "checkpoints/late": 8}
DIFFICULTY = {"checkpoints/base": 0, "checkpoints/mid": 1, "checkpoints/late": 3}


@dataclass
class World:
    """A policy is its checkpoint; of eight answers it gets skill minus the task's difficulty right."""

    documents: tuple[str, ...] = ("a", "b", "c", "d")
    opened: int = 0
    loads: int = 0

    @contextmanager
    def load(self, ref: str) -> Iterator[Any]:
        self.loads += 1
        self.opened += 1
        assert self.opened == 1
        yield ref
        self.opened -= 1

    def pose(self, engine: Any) -> dict[str, Task]:
        return {name: Task("free_form", str(DIFFICULTY[engine]), "x") for name in self.documents}

    def solve(self, engine: Any, tasks: Sequence[Task]) -> list[list[bool]]:
        return [[i < SKILL[engine] - int(task.question) for i in range(8)] for task in tasks]

    def measure(self, **other: Any) -> Mapping[str, list[coevolution.Point]]:
        points = coevolution.measure(
            CHECKPOINTS, self.load, other.get("pose", self.pose), self.solve, samples=200, rng=np.random.default_rng(0)
        )
        return {name: [p for p in points if p.series == name] for name in ("early_reasoner", "early_challenger")}


def test_each_role_is_held_against_the_other_as_it_began() -> None:
    series = World().measure()
    assert [point.pass_rate for point in series["early_challenger"]] == [0.5, 0.75, 1.0]
    assert [point.pass_rate for point in series["early_reasoner"]] == [0.5, 0.375, 0.125]
    for points in series.values():
        assert [(point.iteration, point.checkpoint) for point in points] == CHECKPOINTS
        assert all(point.tasks == 4 for point in points)


def test_one_engine_is_open_at_a_time_and_each_loaded_once() -> None:
    world = World()
    world.measure()
    assert (world.loads, world.opened) == (len(CHECKPOINTS) + 1, 0)


def test_a_checkpoint_without_valid_tasks_leaves_a_gap() -> None:
    world = World()
    series = world.measure(pose=lambda engine: {} if engine == "checkpoints/mid" else world.pose(engine))
    gap = series["early_reasoner"][1]
    assert (gap.tasks, gap.pass_rate, gap.low, gap.high) == (0, None, None, None)
    assert series["early_challenger"][1].pass_rate == 0.75


@pytest.mark.parametrize("documents", [("a",), ("a", "b")])
def test_few_documents_give_a_wide_interval_within_bounds(documents: tuple[str, ...]) -> None:
    world = World(documents)
    for points in world.measure().values():
        for point in points:
            assert point.pass_rate is not None
            assert 0.0 <= point.low <= point.pass_rate <= point.high <= 1.0
            if len(documents) == 1:
                assert (point.low, point.high) == (0.0, 1.0)
