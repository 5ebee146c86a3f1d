"""What a format's plug is: one function, from bytes to documents."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from spice.config import CorpusConfig
from spice.corpus.document import Document, UnreadableError


@dataclass(frozen=True)
class Member:
    """A file within a file, read by whichever format it has."""

    name: str
    """A relative POSIX path within its archive."""
    stream: BinaryIO
    """Its bytes, until the unpacker is asked for the next member."""
    size: int | None = None
    """The bytes that it takes in the archive, compressed or not; `None` if all of the archive."""
    media: str = ""
    """Its media type, where the archive tells one."""


@dataclass(frozen=True)
class Unread:
    """A part that cannot be read although the rest can: a page, a member, a sheet."""

    reason: str
    """One of a few fixed phrases, so that reasons can be counted."""
    detail: str = ""
    member: str = ""
    """The name of the part below its file; empty if it has none."""


Reader = Callable[[bytes, CorpusConfig], Iterator[Document | Unread]]
Unpacker = Callable[[BinaryIO, CorpusConfig], Iterator[Document | Member | Unread]]


@dataclass(frozen=True)
class Format:
    """One format. Exactly one of `read` and `unpack` is given.

    Both raise `UnreadableError` for a file that is not what it seems.
    """

    name: str
    endings: tuple[str, ...]
    """Of file names, lower case, with the dot."""
    read: Reader | None = None
    """From all bytes of a file, at most `corpus.max_file_bytes`."""
    unpack: Unpacker | None = None
    """From an open file of any length, member by member or row by row."""
    media: tuple[str, ...] = ()
    """Its media types."""
    magic: tuple[bytes, ...] = ()
    """How its files begin."""
    safe: bool = False
    """Time and memory are linear in the file whatever it holds, in code of ours: it needs no process of its own."""


def missing_extra(what: str, extra: str) -> UnreadableError:
    """The error for a format whose library is not installed."""
    return UnreadableError("format needs an extra", f"{what}: pip install 'spice-platform[{extra}]'")
