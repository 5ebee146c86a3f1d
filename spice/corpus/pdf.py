"""PDF, read in a process of its own: a hostile file may hang or crash that process, not the run."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import select
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from typing import IO, Any

from spice.config import CorpusConfig
from spice.corpus.document import Document, Numbered, UnreadableError

_PAGE_BREAK = "\n\n"


def read_pdf(data: bytes, config: CorpusConfig) -> Iterator[Document]:
    """One document with page numbers. Pages without a text layer are noted.

    Raises:
        UnreadableError: encrypted, scanned, damaged, or beyond the limits of the configuration.
    """
    if b"%PDF-" not in data[:1024]:
        raise UnreadableError("not a PDF file")
    reply = _worker.request(data, config.pdf_pages, config.parsing.seconds)
    if "reason" in reply:
        raise UnreadableError(reply["reason"], reply.get("detail", ""))
    starts, length = [], 0
    for page in reply["pages"]:
        starts.append(length)
        length += len(page) + len(_PAGE_BREAK)
    notes = ("pages without text layer",) if reply["scanned"] else ()
    yield Document(reply["title"][:200], _PAGE_BREAK.join(reply["pages"]), Numbered(tuple(starts)), notes)


class Worker:
    """The parsing process, started when first needed and again after it died."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None

    def request(self, data: bytes, pages: int, seconds: float) -> dict[str, Any]:
        """Parse one file. A timeout or a crash is a reply with a reason, and the process is replaced."""
        process = self._alive()
        assert process.stdin and process.stdout
        deadline = time.monotonic() + seconds
        try:
            process.stdin.write(struct.pack("<QI", len(data), pages))
            process.stdin.write(data)
            process.stdin.flush()
            (length,) = struct.unpack("<Q", _receive(process.stdout, 8, deadline))
            reply: dict[str, Any] = json.loads(_receive(process.stdout, length, deadline))
        except TimeoutError:
            self.stop()
            return {"reason": "PDF takes too long", "detail": f"corpus.parsing.seconds is {seconds:g}"}
        except (OSError, EOFError, ValueError):
            self.stop()
            return {"reason": "PDF crashes its reader"}
        return reply

    def stop(self) -> None:
        """End the process; it holds nothing worth keeping."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _alive(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
            )
        return self._process


def _receive(stream: IO[bytes], length: int, deadline: float) -> bytes:
    """Exactly `length` bytes. Raises `TimeoutError` or `EOFError`."""
    received = bytearray()
    while len(received) < length:
        ready, _, _ = select.select([stream], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            raise TimeoutError
        chunk = os.read(stream.fileno(), min(1 << 20, length - len(received)))
        if not chunk:
            raise EOFError
        received += chunk
    return bytes(received)


_worker = Worker([sys.executable, "-m", "spice.corpus.pdf_worker"])


@atexit.register
def _stop() -> None:
    with contextlib.suppress(OSError):
        _worker.stop()
