"""Telling how far long work is: a bar on a terminal, plain lines in a pipe, nothing beside JSON."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, TextIO

if TYPE_CHECKING:
    from rich.progress import ProgressColumn, Task

Clock = Callable[[], float]


class Progress(Protocol):
    """What a stage calls whenever a step is done.

    A call with another `what` than the call before begins a new phase. Rate and remaining time are those of the
    phase, counted from its first call, so a resumed run that begins at 12 of 24 is not taken for a fast one.
    """

    def __call__(self, done: int, total: int, what: str, note: str = "") -> None:
        """Say that `done` of `total` steps of the phase `what` are done; `note` is a few words on the last one.

        `total` 0 means that nobody knows how many there are.
        """
        ...


class Silent:
    """Says nothing."""

    def __call__(self, done: int, total: int, what: str, note: str = "") -> None:
        """Do nothing."""


class Lines:
    """One line per step, for pipes and log files; at most one line in `interval` seconds, but always the last one."""

    def __init__(self, out: TextIO, clock: Clock = time.monotonic, interval: float = 1.0) -> None:
        self._out = out
        self._clock = clock
        self._interval = interval
        self._phase: Phase | None = None
        self._printed = float("-inf")

    def __call__(self, done: int, total: int, what: str, note: str = "") -> None:
        """Print the step, unless a line was printed just now."""
        now = self._clock()
        begins = self._phase is None or self._phase.what != what
        if self._phase is None or begins:
            self._phase = Phase(what, done, now)
        if not begins and done != total and now - self._printed < self._interval:
            return
        self._printed = now
        print(self._phase.line(done, total, now, note), file=self._out, flush=True)


class Bar:
    """A bar per phase, drawn by rich."""

    def __init__(self, out: TextIO, clock: Clock = time.monotonic) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as RichProgress

        self._clock = clock
        self.display = RichProgress(
            TextColumn("{task.description}"), BarColumn(bar_width=24), _status_column(), console=Console(file=out)
        )
        self._phase: Phase | None = None
        self._task = self.display.add_task("", visible=False)

    def __call__(self, done: int, total: int, what: str, note: str = "") -> None:
        """Move the bar of this phase, or begin a new one below the last."""
        from rich.markup import escape

        now = self._clock()
        if self._phase is None or self._phase.what != what:
            self._phase = Phase(what, done, now)
            self._task = self.display.add_task(escape(what), total=total or None)
        status = self._phase.status(done, total, now, note)
        self.display.update(self._task, completed=done, total=total or None, status=status)


class Phase:
    """When a phase began, and the arithmetic of its rate."""

    def __init__(self, what: str, first: int, began: float) -> None:
        self.what = what
        self._first = first
        self._began = began

    def line(self, done: int, total: int, now: float, note: str) -> str:
        """`train 7/24, 41 s each, 11:37 left, valid 0.61`."""
        return f"{self.what} {self.status(done, total, now, note)}"

    def status(self, done: int, total: int, now: float, note: str) -> str:
        """How far, how fast and how long still; what cannot be known yet is left out."""
        parts = [f"{done}/{total}" if total else str(done)]
        steps, seconds = done - self._first, now - self._began
        if steps > 0 and seconds > 0:
            parts.append(f"{steps / seconds:.1f} a second" if steps >= seconds else f"{seconds / steps:.1f} s each")
            if done < total:
                parts.append(f"{duration(seconds / steps * (total - done))} left")
            elif total:
                parts.append(f"took {duration(seconds)}")
        return ", ".join([*parts, note] if note else parts)


def duration(seconds: float) -> str:
    """Seconds as `42 s`, `11:37` or `2:05:00`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    hours, rest = divmod(whole, 3600)
    minutes = f"{rest // 60:02}" if hours else f"{rest // 60}"
    return f"{f'{hours}:' if hours else ''}{minutes}:{rest % 60:02}"


@contextmanager
def reporter(as_json: bool, out: TextIO | None = None) -> Iterator[Progress]:
    """The progress display that suits where standard error goes; it is gone when the block ends.

    Args:
        as_json: a machine reads the output, so say nothing.
        out: where the display goes; standard error if not given.
    """
    out = sys.stderr if out is None else out
    if as_json:
        yield Silent()
    elif out.isatty():
        bar = Bar(out)
        with bar.display:
            yield bar
    else:
        yield Lines(out)


def _status_column() -> ProgressColumn:
    """Rich's own columns take rate and remaining time from the wall clock; ours come from the phase."""
    from rich.progress import ProgressColumn
    from rich.table import Column
    from rich.text import Text

    class StatusColumn(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(str(task.fields.get("status", "")), style="dim")

    return StatusColumn(Column(no_wrap=True, overflow="ellipsis"))
