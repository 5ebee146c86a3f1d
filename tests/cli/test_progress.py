from __future__ import annotations

import io
from collections.abc import Sequence

import pytest

from spice.cli.progress import Bar, Lines, Silent, duration, reporter


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def lines(steps: Sequence[tuple[float, tuple[int, int, str, str]]]) -> list[str]:
    clock, out = Clock(), io.StringIO()
    progress = Lines(out, clock)
    for now, step in steps:
        clock.now = now
        progress(*step)
    return out.getvalue().splitlines()


def test_a_line_says_how_far_how_fast_and_how_long_still() -> None:
    assert lines([(0, (0, 24, "train", "")), (40, (1, 24, "train", "valid 0.61")), (80, (2, 24, "train", ""))]) == [
        "train 0/24",
        "train 1/24, 40.0 s each, 15:20 left, valid 0.61",
        "train 2/24, 40.0 s each, 14:40 left",
    ]


def test_a_resumed_run_is_not_taken_for_a_fast_one() -> None:
    assert (
        lines([(100, (12, 24, "train", "")), (140, (13, 24, "train", ""))])[-1] == "train 13/24, 40.0 s each, 7:20 left"
    )


def test_a_new_phase_begins_its_own_rate() -> None:
    assert lines(
        [(0, (0, 2, "read", "")), (90, (2, 2, "read", "")), (100, (0, 5, "train", "")), (102, (1, 5, "train", ""))]
    ) == [
        "read 0/2",
        "read 2/2, 45.0 s each, took 1:30",
        "train 0/5",
        "train 1/5, 2.0 s each, 8 s left",
    ]


def test_many_quick_steps_do_not_flood_a_log_but_the_last_one_is_told() -> None:
    found = lines([(step / 100, (step, 1000, "read", "")) for step in range(1001)])
    assert len(found) <= 12
    assert found[-1] == "read 1000/1000, 100.0 a second, took 10 s"


def test_an_unknown_total_leaves_the_remaining_time_out() -> None:
    assert lines([(0, (0, 0, "read", "")), (2, (10, 0, "read", ""))])[-1] == "read 10, 5.0 a second"


def test_a_clock_that_stands_still_divides_by_nothing() -> None:
    assert lines([(0, (0, 2, "read", "")), (0, (2, 2, "read", ""))])[-1] == "read 2/2"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1:00"), (697, "11:37"), (7500, "2:05:00")]
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_what_suits_where_the_output_goes() -> None:
    with reporter(True, Terminal()) as progress:
        assert isinstance(progress, Silent)
    with reporter(False, io.StringIO()) as progress:
        assert isinstance(progress, Lines)
    with reporter(False, Terminal()) as progress:
        assert isinstance(progress, Bar)


def test_a_bar_shows_text_that_looks_like_markup_as_it_is() -> None:
    clock, out = Clock(), Terminal()
    bar = Bar(out, clock)
    with bar.display:
        bar(0, 4, "read [red]", "")
        clock.now = 2
        bar(1, 4, "read [red]", "[/] note")
    assert "read [red]" in out.getvalue()
    assert "1/4, 2.0 s each, 6 s left, [/] note" in out.getvalue()
