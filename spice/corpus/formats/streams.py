"""Streams that are read within limits."""

from __future__ import annotations

import io
import lzma
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

from spice.corpus.document import UnreadableError

_IN_MEMORY_BYTES = 32 * 2**20
_FREE_BYTES = 2**28
_FREE_MEMBER_BYTES = 64 * 2**20

# What the standard library and pyarrow raise at a damaged or unsupported archive.
DAMAGED = (
    zipfile.BadZipFile,
    tarfile.TarError,
    lzma.LZMAError,
    zlib.error,
    EOFError,
    NotImplementedError,
    OSError,
    ValueError,
)


class Budget:
    """How much may come out of one file, with everything that is nested in it.

    Args:
        size: bytes of the file.
        expansion: how many times as much may come out of it; a small file may give more than that.
        around: the budget of the archive that it lies in, which is spent as well.
    """

    def __init__(self, size: int, expansion: float, around: Budget | None = None) -> None:
        self._size = size
        self._around = around
        self._left = member_bytes(size, expansion) if around else max(_FREE_BYTES, int(size * expansion))

    def spend(self, count: int) -> None:
        """Take note of bytes that came out. Raises `ExpansionError` when they are too many."""
        if self._around is not None:
            self._around.spend(count)
        self._left -= count
        if self._left < 0:
            raise ExpansionError(self, f"from {self._size} bytes; see corpus.parsing.expansion")


def member_bytes(size: int, expansion: float) -> int:
    """How much may come out of a member of so many bytes."""
    return max(_FREE_MEMBER_BYTES, int(size * expansion))


class ExpansionError(UnreadableError):
    """A compressed file has given more than `budget` allows; nothing more of it is read."""

    def __init__(self, budget: Budget, detail: str) -> None:
        super().__init__("expands too much", detail)
        self.budget = budget


class Metered(io.RawIOBase):
    """A stream whose bytes count against a budget."""

    def __init__(self, stream: BinaryIO, budget: Budget) -> None:
        self._stream = stream
        self._budget = budget

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Read into `buffer`, at most as much as it holds."""
        try:
            chunk = self._stream.read(len(buffer))
        except DAMAGED as error:
            raise UnreadableError("damaged member", str(error)[:200]) from error
        self._budget.spend(len(chunk))
        buffer[: len(chunk)] = chunk
        return len(chunk)


def metered(stream: BinaryIO, budget: Budget) -> BinaryIO:
    """The stream, buffered, with every byte counted."""
    return cast(BinaryIO, io.BufferedReader(Metered(stream, budget), 1 << 16))


@contextmanager
def seekable(stream: BinaryIO) -> Iterator[BinaryIO]:
    """The stream itself if it can seek, else a copy, in memory or in an unnamed temporary file."""
    if stream.seekable():
        yield stream
        return
    with tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES) as copy:
        shutil.copyfileobj(stream, copy)
        copy.seek(0)
        yield cast(BinaryIO, copy)


def head(stream: BinaryIO, count: int) -> tuple[bytes, BinaryIO]:
    """The first bytes, fewer at the end of the stream, and a stream that still gives them."""
    buffered = stream if isinstance(stream, io.BufferedReader) else io.BufferedReader(_Raw(stream), 1 << 16)
    return buffered.peek(count)[:count], cast(BinaryIO, buffered)


class _Raw(io.RawIOBase):
    """Any object with `read` as a raw stream."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        chunk = self._stream.read(len(buffer))
        buffer[: len(chunk)] = chunk
        return len(chunk)
