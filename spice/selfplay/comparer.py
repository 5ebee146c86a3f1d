"""Equality of mathematical expressions, decided in one persistent worker process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from spice.errors import SpiceError
from spice.selfplay.pipe import exchange

START_SECONDS = 60.0
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
        self._command = list(
            command or (sys.executable, "-P", "-m", "spice.selfplay.mathworker", str(timeout_s), str(memory_bytes))
        )
        self._process: subprocess.Popen[bytes] | None = None

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
        process = self._process or self._start()
        request = json.dumps([gold, answer]).encode() + b"\n"
        reply = exchange(process, request, self.timeout_s * WALL_FACTOR)
        if reply is None:
            self.close()
            return None
        return reply == b"true\n"

    def close(self) -> None:
        """End the worker, if there is one. The next comparison starts another."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            # Leaving the context closes the pipes and waits for the end.
            with process:
                pass

    def _start(self) -> subprocess.Popen[bytes]:
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            env=_environment(),
            # Ctrl-C is for the caller, which may still need verdicts to end its iteration.
            start_new_session=True,
        )
        reply = exchange(self._process, b"", START_SECONDS)
        greeting = json.loads(reply) if reply else "it ended before it was ready"
        if greeting != "ready":
            self.close()
            raise SpiceError(
                f"the verifier's worker process cannot run Math-Verify: {greeting}. "
                "Install it with: pip install 'spice-platform[train]'"
            )
        return self._process


def _environment() -> dict[str, str]:
    """Keep what Python needs to start, and no credentials. Sympy's term order depends on the hash seed, so fix it."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    return kept | {
        "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
        "PYTHONHASHSEED": "0",
        "PYTHONUTF8": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
