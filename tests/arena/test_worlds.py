"""Does the table tell a Challenger that helps from one that does not? Minutes, and on the real warm starts."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")

from spice.arena.arm import Arm
from spice.arena.compare import Comparison, tabulate
from spice.arena.pool import play_all
from spice.config import StoreConfig

SEEDS = (0, 1, 2)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


def compared(world: str, folder: Path) -> Comparison:
    arms = [Arm(world, recipe, seed) for recipe in ("spice", "fixed_challenger") for seed in SEEDS]
    return tabulate(play_all(arms, StoreConfig(url=str(folder)), None, lambda *_: None))


def curves(found: Comparison) -> list[tuple[float, float]]:
    """By how much each role moves as it should against the other's beginning, by the oracle: lower bound and value."""
    moved = [change for changes in found.rows[0].coevolution.values() for change in changes if change.true]
    assert len(moved) == 2 * len(SEEDS)
    return [
        (change.true.low, change.true.value)
        if change.series == "early_challenger"
        else (-change.true.high, -change.true.value)
        for change in moved
        if change.true
    ]


def test_on_the_ladder_the_challenger_helps(tmp_path: Path) -> None:
    found = compared("ladder", tmp_path)
    assert all(low > 0 for low, _ in curves(found))
    assert found.pairs[0].low > 0


def test_where_length_is_all_the_curves_look_fine_and_the_challenger_is_useless(tmp_path: Path) -> None:
    found = compared("length", tmp_path)
    moved = curves(found)
    assert all(value > 0 for _, value in moved)
    assert sum(low > 0 for low, _ in moved) > len(moved) / 2
    assert found.pairs[0].low <= 0
