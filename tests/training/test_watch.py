"""Who hangs: told from beats and processor time, with a clock that is passed in."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from spice.training.heartbeat import Beat
from spice.training.watch import Watch

PATIENCE = 45.0


@dataclass(frozen=True)
class Case:
    """What two ranks do, second by second; `None` goes on as before."""

    name: str
    rank_1: str  # works, waits, idles or stops
    blamed: int | None
    words: str = ""
    seconds: int = 120
    rank_0: str = "waits"


CASES = [
    Case("a rank that works is left alone", "works", None),
    Case("ranks that all wait for one another are not blamed", "waits", None),
    Case("a rank that is stopped is named, not those that wait for it", "stops", 1, "no sign of life"),
    Case("a rank that does nothing is named", "idles", 1, "done nothing"),
    Case("short of the patience nobody is named", "stops", None, seconds=50),
    Case("the one that is stopped and not the one that works on", "stops", 1, "no sign of life", rank_0="works"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_who_hangs(case: Case) -> None:
    watch, found = Watch(PATIENCE), None
    for second in range(case.seconds):
        beats = [_beat(0, case.rank_0, second), _beat(1, case.rank_1, second)]
        found = found or watch.look(beats, float(second))
    assert (found[0].rank if found else None) == case.blamed
    if found:
        assert case.words in found[1]


def test_a_machine_that_slept_blames_nobody() -> None:
    watch = Watch(PATIENCE)
    assert watch.look([_beat(0, "works", 0)], 0.0) is None
    assert watch.look([_beat(0, "works", 0)], 3600.0) is None
    assert watch.look([_beat(0, "works", 1)], 3601.0) is None


def _beat(rank: int, does: str, second: int) -> Beat:
    """A rank that begins well; from second 10 on it does as it is told here."""
    number = min(second, 10) if does == "stops" else second
    busy = float(min(second, 10)) if does in ("idles", "stops", "waits") else float(second)
    return Beat(rank=rank, pid=100 + rank, number=number, waiting=does == "waits" and second > 10, busy=busy)


def test_a_rank_that_has_ended_is_not_missed_while_another_still_writes() -> None:
    def beats(second: int) -> list[Beat]:
        writing = Beat(rank=0, pid=100, number=second, waiting=False, busy=float(second))
        ended = Beat(rank=1, pid=101, number=min(second, 5), waiting=False, busy=5.0)
        return [writing, ended]

    told, not_told = Watch(PATIENCE), Watch(PATIENCE)
    assert not any(told.look(beats(second), float(second), {1} if second > 5 else ()) for second in range(200))
    assert any(not_told.look(beats(second), float(second)) for second in range(200))
