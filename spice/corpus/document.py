"""What readers produce: text with a way back to the place in the file."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from pydantic import TypeAdapter

from spice.errors import CorpusError

Ranges = Sequence[tuple[int, int]]
_ODD = "\ufffd"
Unit = Literal["byte", "page", "row", "slide", "chapter", "paragraph", "part"]


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

    Most files are one document; a JSONL or Parquet file is one per row, an
    archive one or more per member.
    """

    title: str
    text: str
    positions: Positions
    notes: tuple[str, ...] = ()
    """What was odd about it, each one of a few fixed phrases, to be counted."""
    source: str = ""
    """The name of its item in the corpus, and of the member after a slash. Readers leave it to the parser."""
    format: str = ""
    """The name of its format, to be counted. Readers leave it to the parser."""


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
class Numbered:
    """Text of a document with numbered parts; `starts` are the character offsets at which they begin.

    The first of them has the number `first`.
    """

    starts: tuple[int, ...]
    unit: Unit = "page"
    first: int = 1

    def locate(self, _text: str, ranges: Ranges, /) -> list[tuple[int, int]]:
        """Number of the first and last part, both inclusive."""
        before = self.first - 1
        return [
            (before + bisect_right(self.starts, start), before + bisect_right(self.starts, end - 1))
            for start, end in ranges
        ]


@dataclass(frozen=True)
class Whole:
    """Text of which only the enclosing range is known: a row, or the bytes of an HTML page."""

    unit: Unit
    start: int
    end: int

    def locate(self, _text: str, ranges: Ranges, /) -> list[tuple[int, int]]:
        """The enclosing range, whatever the characters."""
        return [(self.start, self.end)] * len(ranges)


def printable(name: str) -> str:
    """A name that can be stored and shown, another one for each name.

    What is not UTF-8, or would move a cursor, becomes U+FFFD and two hexadecimal digits for each of its bytes; so does
    U+FFFD itself.
    """
    if name.isprintable() and _ODD not in name:
        return name
    return "".join(char if char.isprintable() and char != _ODD else _escaped(char) for char in name)


def _escaped(char: str) -> str:
    return "".join(f"{_ODD}{byte:02X}" for byte in os.fsencode(char))


_KINDS: dict[str, TypeAdapter[EncodedBytes] | TypeAdapter[Numbered] | TypeAdapter[Whole]] = {
    "bytes": TypeAdapter(EncodedBytes),
    "numbered": TypeAdapter(Numbered),
    "whole": TypeAdapter(Whole),
}


def positions_to_json(positions: Positions) -> dict[str, Any]:
    """Positions as plain values, for another process or a file."""
    match positions:
        case EncodedBytes():
            return {"kind": "bytes", **vars(positions)}
        case Numbered():
            return {"kind": "numbered", **vars(positions)}
        case Whole():
            return {"kind": "whole", **vars(positions)}
        case _:
            raise TypeError(f"no plain form for {type(positions).__name__}")


def positions_from_json(fields: dict[str, Any]) -> Positions:
    """The inverse of `positions_to_json`. Raises `ValueError` if these are no positions."""
    kind = fields.get("kind")
    if kind not in _KINDS:
        raise ValueError(f"no positions of kind {kind!r}")
    return _KINDS[kind].validate_python({name: value for name, value in fields.items() if name != "kind"})
