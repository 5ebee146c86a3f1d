"""Equality of mathematical expressions, decided in one persistent worker process."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from spice.errors import SpiceError
from spice.selfplay.pipe import LineWorker, spawn

# The worker limits its own processor time; this only catches one that no longer runs.
WALL_FACTOR = 4.0


class Comparer:
    """Compares expressions with Math-Verify, within a time and memory limit.

    The worker starts at the first comparison, is replaced when it had to be
    ended, sees none of this process's environment, and ends with it.
    """

    def __init__(self, timeout_s: float, memory_bytes: int, command: Sequence[str] | None = None):
        """Set the limits; nothing is started yet.

        Args:
            timeout_s: processor seconds for one comparison.
            memory_bytes: address space of the worker.
            command: another worker that speaks the protocol of `spice.selfplay.mathworker`.
        """
        self.timeout_s = timeout_s
        ours = (sys.executable, "-P", "-m", "spice.selfplay.mathworker", str(timeout_s), str(memory_bytes))
        self._worker = LineWorker(partial(spawn, command or ours, _environment()), _unusable)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def equal(self, gold: str, answer: str) -> bool | None:
        """Say whether two expressions are equal.

        Args:
            gold: the expression that is right, LaTeX or plain.
            answer: the expression to judge.

        Returns:
            The verdict, or `None` if the worker ran out of time or memory.

        Raises:
            SpiceError: Math-Verify is not installed, or the worker cannot be started.
        """
        reply = self._worker.ask([gold, answer], self.timeout_s * WALL_FACTOR)
        return None if reply is None else reply == b"true\n"

    def close(self) -> None:
        """End the worker, if there is one. The next comparison starts another."""
        self._worker.close()


def _unusable(why: str) -> SpiceError:
    return SpiceError(
        f"the verifier's worker process cannot run Math-Verify: {why}. "
        "Install it with: pip install 'spice-platform[train]'"
    )


def _environment() -> dict[str, str]:
    """Keep what Python needs to start, and no credentials. Sympy's term order depends on the hash seed, so fix it."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    return kept | {
        "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
        "PYTHONHASHSEED": "0",
        "PYTHONUTF8": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
