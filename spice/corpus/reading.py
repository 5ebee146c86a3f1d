"""From a batch of files to a pack: all the work that needs no other document, done wherever a core is free."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Protocol

from spice.config import CorpusConfig
from spice.corpus.document import Document, UnreadableError
from spice.corpus.pack import FileRow, PackWriter, SegmentRow
from spice.corpus.prepare import ERASED, Prepared, prepare, unreadable
from spice.corpus.screening import SCREEN
from spice.corpus.segment import CountTokens, segment
from spice.corpus.source import LeftOut, SourceItem

_DIGEST_BYTES = 1 << 20
_TOGETHER_CHARS = 4_000_000
_TOGETHER_DOCUMENTS = 4096


class Parser(Protocol):
    """The part of `spice.corpus.parsing.Parser` that is used here."""

    def parse_batch(self, items: Sequence[SourceItem]) -> Iterator[tuple[int, Document | LeftOut]]:
        """Documents, and what cannot be read, each with the index of its item, in the order of the items."""
        ...


@dataclass(frozen=True)
class Reader:
    """Turns files into packs.

    Attributes:
        parser: reads the formats.
        config: everything that shapes a document.
        erased: see `spice.corpus.prepare.prepare`.
        count_tokens: tokens of each given text.
        admitted: see there, too.
    """

    parser: Parser
    config: CorpusConfig
    erased: Set[bytes]
    count_tokens: CountTokens
    admitted: Set[bytes] = frozenset()

    def read(self, items: Sequence[SourceItem], folder: Path) -> None:
        """Write the pack of some files into a folder.

        Args:
            items: local ones; the rows of `files` are in their order.
            folder: exists and is empty.
        """
        digests = [item_sha256(item) for item in items]
        writer = PackWriter(folder)
        waiting = _Waiting(writer, self.config, self.count_tokens)
        for index, results in groupby(self.parser.parse_batch(items), key=lambda pair: pair[0]):
            item, count, reusable = items[index], 0, digests[index] != b""
            for _, result in results:
                prepared = self._prepared(result, item.name)
                count += 1
                # What could not be read now may be read another time; what was erased, quarantined or admitted
                # becomes something else with the next decision.
                reusable = reusable and prepared.row.stage not in {"read", ERASED, SCREEN}
                reusable = reusable and prepared.row.document_id not in self.admitted
                waiting.add(prepared, result)
            writer.files.add(FileRow(file_key(item, digests[index]), place_key(item), item.size or 0, count, reusable))
        waiting.flush()
        writer.close()

    def _prepared(self, result: Document | LeftOut, name: str) -> Prepared:
        if isinstance(result, LeftOut):
            return Prepared(unreadable(result, name))
        return prepare(result, name, self.config, self.erased, self.admitted)


def write_unread(item: SourceItem, reason: str, folder: Path) -> None:
    """Write the pack of one file that no process survives."""
    writer = PackWriter(folder)
    writer.files.add(FileRow(b"", b"", item.size or 0, 1, reusable=False))
    writer.documents.add(unreadable(LeftOut(item.name, "read", reason), item.name))
    writer.close()


def file_key(item: SourceItem, sha256: bytes) -> bytes:
    """16 bytes that are equal only if a file's documents are: its bytes, its own name, and which part of it this is."""
    own = PurePosixPath(item.name).name
    return _key(sha256.hex(), own, item.media, str(item.start), str(item.first_row))


def place_key(item: SourceItem) -> bytes:
    """16 bytes that stay the same while the source says that a file did not change; empty if it cannot say."""
    if item.version is None:
        return b""
    return _key(item.name, str(item.start), str(item.end), str(item.first_row), item.media, item.version)


def item_sha256(item: SourceItem) -> bytes:
    """SHA-256 of a local item's bytes; empty if it cannot be read, which its reader then reports."""
    digest = hashlib.sha256()
    try:
        with item.open() as file:
            left = -1 if item.end is None else item.end - item.start
            while left and (chunk := file.read(_DIGEST_BYTES if left < 0 else min(left, _DIGEST_BYTES))):
                digest.update(chunk)
                left -= len(chunk) if left > 0 else 0
    except (UnreadableError, OSError):
        return b""
    return digest.digest()


class _Waiting:
    """Documents that wait to be cut together, because tokenizers are quick on batches."""

    def __init__(self, writer: PackWriter, config: CorpusConfig, count_tokens: CountTokens) -> None:
        self._writer, self._config, self._count = writer, config, count_tokens
        self._documents: list[tuple[Prepared, Document | LeftOut]] = []
        self._size = 0

    def add(self, prepared: Prepared, result: Document | LeftOut) -> None:
        self._documents.append((prepared, result))
        self._size += len(prepared.raw or "")
        if self._size >= _TOGETHER_CHARS or len(self._documents) >= _TOGETHER_DOCUMENTS:
            self.flush()

    def flush(self) -> None:
        texts = [one.raw for one, _ in self._documents if one.raw is not None]
        cut = iter(segment(texts, self._config.segment_tokens, self._config.max_line_chars, self._count))
        for one, document in self._documents:
            if one.raw is None or isinstance(document, LeftOut):
                self._writer.documents.add(one.row)
                continue
            pieces = next(cut)
            # Positions count the characters of the text as it was read, before any line was taken out.
            ranges = document.positions.locate(document.text, [(piece.start, piece.end) for piece in pieces])
            self._writer.documents.add(replace(one.row, segments=len(pieces)))
            for piece, (start, end) in zip(pieces, ranges, strict=True):
                sha256 = hashlib.sha256(piece.text.encode()).hexdigest()
                self._writer.segments.add(SegmentRow(start, end, sha256, piece.text, piece.tokens))
        self._documents, self._size = [], 0


def _key(*parts: str) -> bytes:
    return hashlib.blake2b("\0".join(parts).encode("utf-8", "surrogatepass"), digest_size=16).digest()
