"""Runs model-written programs where they can do no harm (Absolute Zero's environment).

The wall is a filter of system calls, without which no program is run
(`spice.selfplay.sandbox` tries it out at every start). Behind it stand limits on
memory and time, an empty environment and folder, and, where the kernel lets an
ordinary user have them, namespaces without a network, other processes or files.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from spice.errors import RefusedError
from spice.selfplay.pipe import LineWorker, spawn
from spice.selfplay.sandbox import WALL_FACTOR

_NAMESPACES = ("--user", "--map-root-user", "--net", "--mount", "--ipc", "--uts", "--pid", "--fork", "--kill-child")


class Run(NamedTuple):
    """What became of a program: an output per input, or why there are none."""

    outputs: tuple[str, ...]
    error: str = ""


class Executor:
    """A process that runs programs one after the other, each in a child that can only compute.

    It starts at the first program, and is replaced when it had to be ended.
    """

    def __init__(self, seconds: float = 2.0, memory_bytes: int = 256 * 2**20, command: Sequence[str] | None = None):
        """Set the limits; nothing is started yet.

        Args:
            seconds: processor time of one program, all its inputs together.
            memory_bytes: address space that it may take.
            command: another process that speaks the protocol of `spice.selfplay.sandbox`.
        """
        self._seconds = seconds
        script = str(Path(__file__).with_name("sandbox.py"))
        self._command = command or (sys.executable, "-P", "-s", "-S", script, str(seconds), str(memory_bytes))
        self._worker = LineWorker(self._spawn, _unusable)
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def run(self, program: str, inputs: Sequence[str]) -> Run:
        """Run a program's function `f` on every input.

        Args:
            program: Python that defines `f`.
            inputs: arguments of each call as literals, such as `3, "abc"`.

        Returns:
            The outputs as literals in canonical form, one per input; or an error, if any call failed.

        Raises:
            RefusedError: this machine offers no isolation, so that nothing is run.
        """
        # The child's own limits come first; this catches a worker that no longer answers.
        request = {"program": program, "inputs": list(inputs)}
        reply = self._worker.ask(request, self._seconds * WALL_FACTOR * 2 + 1)
        if reply is None:
            self.close()
            return Run((), "it was ended together with the process that ran it")
        found = json.loads(reply)
        return Run(tuple(found.get("outputs", ())), found.get("error", ""))

    def close(self) -> None:
        """End the process, if one was started. The next program starts another."""
        self._worker.close()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def _spawn(self) -> subprocess.Popen[bytes]:
        self._folder = tempfile.TemporaryDirectory(prefix="spice-executor-")
        # The order of sets depends on the hash seed.
        return spawn([*_namespaces(), *self._command], {"PYTHONHASHSEED": "0"}, Path(self._folder.name))


def _unusable(why: str) -> RefusedError:
    return RefusedError(
        f"Model-written programs cannot be isolated here, so none is run: {why}. The recipe "
        "absolute_zero needs Linux on x86-64 or ARM64 with seccomp; choose another recipe, or another machine."
    )


def _namespaces() -> tuple[str, ...]:
    """The command that puts a process into namespaces of its own, or nothing where the kernel does not allow it."""
    command = shutil.which("unshare")
    if command is None:
        return ()
    tried = subprocess.run([command, *_NAMESPACES, "true"], capture_output=True, check=False)
    return (command, *_NAMESPACES) if tried.returncode == 0 else ()
