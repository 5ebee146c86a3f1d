"""Reading one item: its documents, and those of every file within it.

Each thing that an unpacker gives has a path, the numbers of the things that it
lies in; so a reading that was cut short can go on after a given path.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import BinaryIO, cast

from spice.config import CorpusConfig
from spice.corpus.decode import as_utf8
from spice.corpus.document import Document, UnreadableError, Whole
from spice.corpus.formats import Format, Member, Unread, recognise
from spice.corpus.formats.streams import Budget, ExpansionError, head, metered
from spice.corpus.source import LeftOut, SourceItem
from spice.errors import SpiceError

Path = tuple[int, ...]

_HEAD_BYTES = 1024
_LONGEST_NAME = 300
_ROW_BYTES = 64  # what a row costs, however short
_SHORT_ENDINGS = {".tgz": ".tar", ".tbz2": ".tar", ".txz": ".tar"}


@dataclass(frozen=True)
class Begun:
    """A member is read from now on, by a library that may not come back. Safe formats are not announced."""

    path: Path
    source: str


@dataclass(frozen=True)
class Ended:
    """The member begun last is read."""

    path: Path


Event = Document | LeftOut | Begun | Ended


def read_item(item: SourceItem, config: CorpusConfig, after: Path | None = None) -> Iterator[Event]:
    """What is in a local item: at least one document or reason why there is none.

    Args:
        item: with a path.
        config: limits.
        after: go on after this member, which was tried before and is passed over.
    """
    reading = _Reading(item, config, after)
    found = False
    for event in reading.events():
        found = found or isinstance(event, Document | LeftOut)
        yield event
    if not found and after is None:
        yield LeftOut(item.name, "read", "no documents in it")


class _Reading:
    """One item and what is left of its limits."""

    def __init__(self, item: SourceItem, config: CorpusConfig, after: Path | None) -> None:
        self._item = item
        self._config = config
        self._after = after
        self._members_left = config.parsing.archive_members

    def events(self) -> Iterator[Event]:
        """All of the item; whatever goes wrong as a whole is told of the item."""
        name = self._item.name
        try:
            with self._item.open() as file:
                budget = Budget(self._item.size or 0, self._config.parsing.expansion)
                stream = _limited(file, self._item)
                yield from map(self._shifted, self._file(name, name, self._item.media, stream, (), budget))
        except UnreadableError as error:
            yield LeftOut(name, "read", error.reason, error.detail)

    def _file(
        self, source: str, name: str, media: str, stream: BinaryIO, path: Path, budget: Budget
    ) -> Iterator[Event]:
        begin, stream = head(stream, _HEAD_BYTES)
        if not begin:
            raise UnreadableError("empty file")
        found = recognise(name, media, begin)
        if path and not found.safe and not self._is_entered(path):
            yield Begun(path, source)
        try:
            if found.read is not None:
                yield from self._read(found, source, media, stream)
            else:
                yield from self._unpack(found, source, name, stream, path, budget)
        except SpiceError:
            raise
        except MemoryError as error:
            limit = self._config.parsing.memory_bytes
            raise UnreadableError("needs too much memory", f"corpus.parsing.memory_bytes is {limit}") from error
        # Whatever a hostile file raises inside a library is an answer about that file, not a bug of ours.
        except Exception as error:
            if found.safe:
                raise
            raise UnreadableError(f"damaged {found.name}", f"{type(error).__name__}: {error}"[:200]) from error

    def _read(self, found: Format, source: str, media: str, stream: BinaryIO) -> Iterator[Event]:
        assert found.read is not None
        most = self._config.max_file_bytes
        data = stream.read(most + 1)
        if len(data) > most:
            raise UnreadableError("too large", f"corpus.max_file_bytes is {most}")
        for one in found.read(as_utf8(data, media), self._config):
            yield self._told(one, found, source)

    def _unpack(
        self, found: Format, source: str, name: str, stream: BinaryIO, path: Path, budget: Budget
    ) -> Iterator[Event]:
        assert found.unpack is not None
        if len(path) > self._config.parsing.archive_depth:
            raise UnreadableError("archive too deep", f"corpus.parsing.archive_depth is {len(path) - 1}")
        for number, one in enumerate(found.unpack(stream, self._config)):
            at = (*path, number)
            if self._after is not None and at <= self._after and not self._is_entered(at):
                continue
            if not isinstance(one, Member):
                # Rows of a compressed table come out of a library that counts nothing.
                budget.spend(_ROW_BYTES + (len(one.text) if isinstance(one, Document) else 0))
                yield self._told(one, found, source)
                continue
            self._members_left -= 1
            if self._members_left < 0:
                raise _TooManyError("too many members", f"limit {self._config.parsing.archive_members}")
            yield from self._member(one, source, name, at, budget)

    def _member(self, member: Member, source: str, name: str, path: Path, around: Budget) -> Iterator[Event]:
        """One member. What is wrong with it is told, and the rest of its archive goes on."""
        if member.name:
            inner = label(member.name)
            within = f"{source}/{inner}"
        else:
            inner, within = _uncompressed(name), source
        if member.name and any(part.startswith(".") or part == "__MACOSX" for part in inner.split("/")):
            yield LeftOut(within, "walk", "hidden")
            return
        begun = self._is_entered(path)
        budget = around if member.size is None else Budget(member.size, self._config.parsing.expansion, around)
        try:
            for event in self._file(within, inner, member.media, metered(member.stream, budget), path, budget):
                begun = begun or isinstance(event, Begun)
                yield event
        except UnreadableError as error:
            if isinstance(error, _TooManyError) or (isinstance(error, ExpansionError) and error.budget is around):
                raise
            yield LeftOut(within, "read", error.reason, error.detail)
        if begun:
            yield Ended(path)

    def _told(self, one: Document | Unread, found: Format, source: str) -> Document | LeftOut:
        if isinstance(one, Unread):
            # A member is left out as a file is; anything else is a part of a document that is there.
            stage, name = ("read", f"{source}/{label(one.member)}") if one.member else ("part", source)
            return LeftOut(name, stage, one.reason, one.detail)
        within = f"{source}/{label(one.source)}" if one.source else source
        if len(one.text) > (most := self._config.parsing.text_chars):
            return LeftOut(within, "read", "too much text", f"{len(one.text)}, corpus.parsing.text_chars is {most}")
        return replace(one, source=within, format=found.name)

    def _is_entered(self, path: Path) -> bool:
        """Whether a member was entered before the reading was cut short, and has more to give."""
        after = self._after
        return after is not None and len(path) < len(after) and after[: len(path)] == path

    def _shifted(self, event: Event) -> Event:
        """Rows of an item that is a part of a file count from the beginning of the file."""
        before = self._item.first_row - 1
        if before and isinstance(event, Document) and isinstance(event.positions, Whole):
            place = event.positions
            return replace(event, positions=Whole(place.unit, place.start + before, place.end + before))
        return event


class _TooManyError(UnreadableError):
    """An item has more members than are read; what was read of it stays."""


def label(name: str) -> str:
    """A member's name as a relative path that can be shown: no way up, no control characters, not too long."""
    parts = (part for part in name.replace("\\", "/").split("/") if part not in {"", ".", ".."})
    shown = "".join(char if char.isprintable() else "\ufffd" for char in "/".join(parts))
    return shown[-_LONGEST_NAME:] or "member"


def _uncompressed(name: str) -> str:
    """`a.txt` for `a.txt.gz`, `a.tar` for `a.tgz`."""
    path = PurePosixPath(name)
    return str(path.with_suffix(_SHORT_ENDINGS.get(path.suffix.lower(), ""))) if path.suffix else name


def _limited(file: BinaryIO, item: SourceItem) -> BinaryIO:
    return file if item.end is None else cast(BinaryIO, io.BytesIO(file.read(item.end - item.start)))
