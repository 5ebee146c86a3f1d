"""Messages over a pipe: a length of four bytes, little endian, then JSON in ASCII."""

from __future__ import annotations

import json
import os
import select
import struct
import time
from typing import IO, Any

_CHUNK = 1 << 20
LARGEST = 2**31


def write_frame(stream: IO[bytes], message: Any) -> None:
    """Write one message; the caller flushes. Raises `OSError` where nobody reads any more."""
    data = json.dumps(message, separators=(",", ":")).encode("ascii")
    stream.write(struct.pack("<I", len(data)))
    stream.write(data)


def read_frame(stream: IO[bytes]) -> Any:
    """The next message, or `None` at the end of the stream."""
    head = stream.read(4)
    if len(head) < 4:
        return None
    return json.loads(stream.read(struct.unpack("<I", head)[0]))


class FrameReader:
    """Messages from a pipe whose writer may stop at any byte."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._buffer = bytearray()
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLIN)

    def next(self, seconds: float) -> Any:
        """The next message.

        Raises:
            TimeoutError: it is not complete after so many seconds.
            EOFError: the writer is gone.
            ValueError: it is no message.
        """
        deadline = time.monotonic() + seconds
        (length,) = struct.unpack("<I", self._take(4, deadline))
        if length > LARGEST:
            raise ValueError(f"a message of {length} bytes")
        return json.loads(self._take(length, deadline))

    def _take(self, length: int, deadline: float) -> bytearray:
        while len(self._buffer) < length:
            if not self._poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
                raise TimeoutError
            chunk = os.read(self._descriptor, _CHUNK)
            if not chunk:
                raise EOFError
            self._buffer += chunk
        if length <= _CHUNK:
            taken = self._buffer[:length]
            del self._buffer[:length]
        else:  # a document of hundreds of megabytes is not copied; what stands after it is less than one read
            taken, self._buffer = self._buffer, self._buffer[length:]
            del taken[length:]
        return taken
