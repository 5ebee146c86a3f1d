"""A worker process that answers each line it is sent with a line."""

from __future__ import annotations

import json
import os
import select
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from spice.errors import SpiceError

START_SECONDS = 60.0


class LineWorker:
    """A process that starts at the first request, and is replaced when it had to be ended."""

    def __init__(self, spawn: Callable[[], subprocess.Popen[bytes]], unusable: Callable[[str], SpiceError]):
        """Start nothing yet.

        Args:
            spawn: starts the process, as `spawn` of this module does. Its first line says "ready", or why it is not.
            unusable: the error to raise, given why it is not ready.
        """
        self._spawn = spawn
        self._unusable = unusable
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, request: object, seconds: float) -> bytes | None:
        """Send a request as JSON and read the answer.

        Returns:
            One line, or `None` if the process ended, or was ended because it stayed silent for too long.

        Raises:
            SpiceError: it cannot be started.
        """
        process = self._process or self._start()
        reply = _exchange(process, json.dumps(request).encode() + b"\n", seconds)
        if reply is None:
            self.close()
        return reply

    def close(self) -> None:
        """End the process, if one was started. The next request starts another."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            # Leaving the context closes the pipes and waits for the end.
            with process:
                pass

    def _start(self) -> subprocess.Popen[bytes]:
        self._process = self._spawn()
        reply = _exchange(self._process, b"", START_SECONDS)
        greeting = json.loads(reply) if reply else "it ended before it was ready"
        if greeting != "ready":
            self.close()
            raise self._unusable(str(greeting))
        return self._process


def spawn(
    command: Sequence[str], environment: Mapping[str, str], folder: Path | None = None
) -> subprocess.Popen[bytes]:
    """Start a worker. Ctrl-C does not reach it: it is for the caller, which may still need answers to end its work."""
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
        cwd=folder,
        env=environment,
        start_new_session=True,
    )


def _exchange(process: subprocess.Popen[bytes], request: bytes, seconds: float) -> bytes | None:
    """Send a request and read one line, or return `None` if the worker ends or stays silent for too long."""
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(request)
    except BrokenPipeError:
        return None
    deadline = time.monotonic() + seconds
    poll = select.poll()
    poll.register(process.stdout, select.POLLIN)
    line = b""
    while not line.endswith(b"\n"):
        left = deadline - time.monotonic()
        if left <= 0 or not poll.poll(left * 1000):
            return None
        chunk = os.read(process.stdout.fileno(), 4096)
        if not chunk:
            return None
        line += chunk
    return line
