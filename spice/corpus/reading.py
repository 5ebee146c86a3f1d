"""From a batch of files to a pack: all the work that needs no other document, done wherever a core is free."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence, Set
from dataclasses import replace
from pathlib import Path, PurePosixPath

from spice.config import CorpusConfig
from spice.corpus.document import Document, UnreadableError
from spice.corpus.files import Found
from spice.corpus.formats import read
from spice.corpus.pack import (
    DOCUMENTS,
    DOCUMENTS_SCHEMA,
    FILES,
    FILES_SCHEMA,
    SEGMENTS,
    SEGMENTS_SCHEMA,
    DocumentRow,
    FileRow,
    SegmentRow,
    write_rows,
)
from spice.corpus.prepare import ERASED, Prepared, prepare, unreadable
from spice.corpus.segment import CountTokens, segment
from spice.corpus.source import LeftOut, SourceItem

_DIGEST_BYTES = 1 << 20


def read_batch(
    items: Sequence[SourceItem], config: CorpusConfig, erased: Set[bytes], count_tokens: CountTokens, folder: Path
) -> None:
    """Write the pack of some files into a folder.

    Args:
        items: local ones; the rows of `files` are in their order.
        config: everything that shapes a document.
        erased: see `spice.corpus.prepare.prepare`.
        count_tokens: tokens of each given text.
        folder: exists and is empty.
    """
    files: list[FileRow] = []
    found: list[tuple[Prepared, Document | None]] = []
    digests = [item_sha256(item) for item in items]
    for item, sha256, parsed in zip(items, digests, parse_batch(items, config), strict=True):
        rows = [_prepared(each, item.name, config, erased) for each in parsed]
        rows = rows or [(Prepared(unreadable(LeftOut(item.name, "read", "no documents in it"), item.name)), None)]
        reusable = sha256 != b"" and not any(one.row.stage in {"read", ERASED} for one, _ in rows)
        files.append(FileRow(file_key(item, sha256), place_key(item), item.size or 0, len(rows), reusable))
        found += rows
    documents, segments = _cut(found, config, count_tokens)
    write_rows(folder / FILES, FILES_SCHEMA, files)
    write_rows(folder / DOCUMENTS, DOCUMENTS_SCHEMA, documents)
    write_rows(folder / SEGMENTS, SEGMENTS_SCHEMA, segments)


def write_unread(item: SourceItem, reason: str, folder: Path) -> None:
    """Write the pack of one file that no process survives."""
    row = unreadable(LeftOut(item.name, "read", reason), item.name)
    write_rows(folder / FILES, FILES_SCHEMA, [FileRow(b"", b"", item.size or 0, 1, False)])
    write_rows(folder / DOCUMENTS, DOCUMENTS_SCHEMA, [row])
    write_rows(folder / SEGMENTS, SEGMENTS_SCHEMA, [])


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


def parse_batch(items: Sequence[SourceItem], config: CorpusConfig) -> list[list[Document | LeftOut]]:
    """The documents of each file."""
    return [_parsed(item, config) for item in items]


def _parsed(item: SourceItem, config: CorpusConfig) -> list[Document | LeftOut]:
    assert item.path is not None, "files are local when they are read"
    try:
        found = read(Found(item.path, item.name, item.size or 0), config)
        return [replace(document, source=item.name, format=PurePosixPath(item.name).suffix[1:]) for document in found]
    except UnreadableError as error:
        return [LeftOut(item.name, "read", error.reason, error.detail)]


def _prepared(
    parsed: Document | LeftOut, name: str, config: CorpusConfig, erased: Set[bytes]
) -> tuple[Prepared, Document | None]:
    if isinstance(parsed, LeftOut):
        return Prepared(unreadable(parsed, name)), None
    return prepare(parsed, name, config, erased), parsed


def _cut(
    found: Sequence[tuple[Prepared, Document | None]], config: CorpusConfig, count_tokens: CountTokens
) -> tuple[list[DocumentRow], list[SegmentRow]]:
    """Cut all texts together, because tokenizers are quick on batches."""
    texts = [one.raw for one, _ in found if one.raw is not None]
    cut = iter(segment(texts, config.segment_tokens, config.max_line_chars, count_tokens))
    documents, segments = [], []
    for one, document in found:
        if one.raw is None or document is None:
            documents.append(one.row)
            continue
        pieces = next(cut)
        # The positions count the characters of the text as it was read, before any line was taken out.
        ranges = document.positions.locate(document.text, [(piece.start, piece.end) for piece in pieces])
        documents.append(replace(one.row, segments=len(pieces)))
        segments += [
            SegmentRow(start, end, hashlib.sha256(piece.text.encode()).hexdigest(), piece.text, piece.tokens)
            for piece, (start, end) in zip(pieces, ranges, strict=True)
        ]
    return documents, segments


def _key(*parts: str) -> bytes:
    return hashlib.blake2b("\0".join(parts).encode("utf-8", "surrogatepass"), digest_size=16).digest()
