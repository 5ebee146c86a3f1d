"""What readers produce: text with a way back to the place in the file."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from spice.errors import CorpusError

Ranges = Sequence[tuple[int, int]]
Unit = Literal["byte", "page", "row"]


class UnreadableError(CorpusError):
    """A file cannot be read as the format that it seems to have.

    `reason` is one of a few fixed phrases, so that reasons can be counted;
    `detail` says more about this file.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason} ({detail})" if detail else reason)
        self.reason = reason
        self.detail = detail


class Positions(Protocol):
    """Where the characters of a text came from."""

    @property
    def unit(self) -> Unit:
        """What `locate` counts."""
        ...

    def locate(self, text: str, ranges: Ranges, /) -> list[tuple[int, int]]:
        """The ranges in the file, in units, that hold the characters `text[start:end]` of each range.

        Ranges are in order and do not overlap, so that one pass over the text is enough.
        """
        ...


@dataclass(frozen=True)
class Document:
    """One document as its reader found it, before cleaning.

    Most files are one document; a JSONL or Parquet file is one per row.
    """

    title: str
    text: str
    positions: Positions
    notes: tuple[str, ...] = ()
    """What was odd about it, each one of a few fixed phrases, to be counted."""


@dataclass(frozen=True)
class EncodedBytes:
    """Text that is a decoded part of the file, from byte `base` on.

    The encoding must be lossless (errors are surrogate escapes), so that
    encoding again gives the length in the file.
    """

    encoding: str
    base: int = 0
    unit: Unit = "byte"

    def locate(self, text: str, ranges: Ranges, /) -> list[tuple[int, int]]:
        """Byte offsets, the end exclusive."""
        found = []
        position, offset = 0, self.base
        for start, end in ranges:
            first = offset + self._length(text[position:start])
            offset = first + self._length(text[start:end])
            position = end
            found.append((first, offset))
        return found

    def _length(self, text: str) -> int:
        if self.encoding == "cp1252":
            return len(text)
        return len(text.encode(self.encoding, "surrogateescape" if self.encoding == "utf-8" else "surrogatepass"))


@dataclass(frozen=True)
class Pages:
    """Text of a paged document; `starts` are the character offsets at which pages begin."""

    starts: tuple[int, ...]
    unit: Unit = "page"

    def locate(self, _text: str, ranges: Ranges, /) -> list[tuple[int, int]]:
        """First and last page, counted from 1, both inclusive."""
        return [(bisect_right(self.starts, start), bisect_right(self.starts, end - 1)) for start, end in ranges]


@dataclass(frozen=True)
class Whole:
    """Text of which only the enclosing range is known: a row, or the bytes of an HTML page."""

    unit: Unit
    start: int
    end: int

    def locate(self, _text: str, ranges: Ranges, /) -> list[tuple[int, int]]:
        """The enclosing range, whatever the characters."""
        return [(self.start, self.end)] * len(ranges)
