"""Progress in the log of a pod: a line when a phase begins or ends and at each twentieth of it."""

from __future__ import annotations

import sys
from typing import TextIO

_PARTS = 20


class Log:
    """A stage's progress as lines of text."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = sys.stdout if out is None else out
        self._last: tuple[str, int] = ("", -1)

    def __call__(self, done: int, total: int, what: str, note: str = "") -> None:
        """Print the step if it completes a twentieth of the phase, or if nobody knows how many steps there are."""
        part = _PARTS * done // total if total else done
        if (what, part) == self._last and done != total:
            return
        self._last = (what, part)
        steps = f"{done}/{total}" if total else str(done)
        print(f"{what} {steps}{f', {note}' if note else ''}", file=self._out, flush=True)
