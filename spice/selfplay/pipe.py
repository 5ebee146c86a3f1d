"""Requests and replies, a line each, over the pipes of a worker process."""

from __future__ import annotations

import os
import select
import subprocess
import time


def exchange(process: subprocess.Popen[bytes], request: bytes, seconds: float) -> bytes | None:
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
