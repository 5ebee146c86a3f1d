"""What a source of documents gives: items, one at a time, each not opened yet.

A source walks what it stands for lazily, so a million files cost no memory. An
item says where its bytes are and whether they may have changed; a remote one is
fetched into a folder first, because the processes that parse have no network.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from spice.corpus.document import UnreadableError

_COPY_BYTES = 1 << 20


@dataclass(frozen=True)
class LeftOut:
    """Something that did not become part of the corpus, and why.

    `stage` is "walk" (passed over by rule), "read" (unreadable), "screen",
    "clean", "duplicate", "near_duplicate" or "segment".
    """

    source: str
    stage: str
    reason: str
    detail: str = ""


@dataclass(frozen=True)
class Opened:
    """A remote item that answers: its bytes, and its media type if the server told it."""

    stream: BinaryIO
    media: str = ""


@dataclass(frozen=True)
class SourceItem:
    """One file, object, page, or run of rows."""

    name: str
    """Its name in the corpus, a relative POSIX path; with `start` it is unique in one ingest."""
    uri: str
    """Where it came from, for people and records."""
    size: int | None
    """Bytes, where the source knows before reading."""
    version: str | None
    """While this stays the same, the bytes do. `None`: only reading can tell."""
    path: Path | None = None
    """The local file that holds it; `None` until it is fetched."""
    start: int = 0
    """First byte of `path` that belongs to it."""
    end: int | None = None
    """The byte after its last one; `None` means the end of the file."""
    first_row: int = 1
    """Number of its first row, where it is a run of rows of a longer file."""
    media: str = ""
    """Its media type, where the source was told one."""
    opened: Callable[[], Opened] | None = field(default=None, repr=False, compare=False)
    """How a remote item is opened."""

    def open(self) -> BinaryIO:
        """The bytes from `start` on; the caller closes it and stops at `end`.

        Raises:
            UnreadableError: it is gone, forbidden, or cannot be reached.
        """
        if self.path is None:
            assert self.opened is not None, "an item without a local file says how it is opened"
            return self.opened().stream
        try:
            file = self.path.open("rb")
        except OSError as error:
            raise UnreadableError("cannot be opened", error.strerror or str(error)) from error
        file.seek(self.start)
        return file

    def to_json(self) -> dict[str, Any]:
        """A local item as plain values, for another process."""
        assert self.path is not None, "only a fetched item can go to another process"
        return {
            "name": self.name,
            "uri": self.uri,
            "size": self.size,
            "version": self.version,
            "path": os.fspath(self.path),
            "start": self.start,
            "end": self.end,
            "first_row": self.first_row,
            "media": self.media,
        }

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> SourceItem:
        """The inverse of `to_json`."""
        return cls(**{**fields, "path": Path(fields["path"])})


class Source(Protocol):
    """A place with documents. Walking it again gives the same names in the same order, if nothing changed there."""

    def items(self) -> Iterator[SourceItem | LeftOut]:
        """Everything in it, in order of name, lazily; what is passed over or cannot be listed as `LeftOut`.

        Raises:
            CorpusError: the place does not exist or refuses us altogether.
        """
        ...


def fetch(item: SourceItem, folder: Path, most_bytes: int) -> SourceItem:
    """The item with its bytes in a local file: itself if it has one, else a copy below `folder`.

    The caller removes the copy when it is done with it.

    Args:
        item: what to fetch.
        folder: exists; the copy gets a name of its own in it.
        most_bytes: a longer item is not fetched (`corpus.sources.fetch_bytes`).

    Raises:
        UnreadableError: it cannot be read, or is too large.
        OSError: the folder cannot be written.
    """
    if item.path is not None:
        return item
    if item.size is not None and item.size > most_bytes:
        raise UnreadableError("too large", f"{item.size} bytes, corpus.sources.fetch_bytes is {most_bytes}")
    assert item.opened is not None, "an item without a local file says how it is opened"
    path = folder / os.urandom(12).hex()
    try:
        opened = item.opened()
        with opened.stream as stream, path.open("xb") as file:
            size = _copy(stream, file, most_bytes)
    except BaseException:
        with suppress(OSError):
            path.unlink(missing_ok=True)
        raise
    return replace(item, path=path, size=size, media=opened.media or item.media, opened=None)


def _copy(stream: BinaryIO, file: BinaryIO, most_bytes: int) -> int:
    copied = 0
    while chunk := stream.read(_COPY_BYTES):
        copied += len(chunk)
        if copied > most_bytes:
            raise UnreadableError("too large", f"corpus.sources.fetch_bytes is {most_bytes}")
        file.write(chunk)
    return copied
