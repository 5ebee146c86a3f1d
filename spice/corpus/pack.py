"""A pack: what one batch of files became, before documents are compared with each other.

Three Arrow tables. `files` says which bytes were read, `documents` what was
found in them, `segments` holds the text, cut but not yet chosen from. All that
a document becomes by itself stands in a pack, so a file whose bytes did not
change is never read again. Names are not part of it: a file may move.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pyarrow as pa

from spice.errors import IntegrityError

FILES, DOCUMENTS, SEGMENTS = "files.arrow", "documents.arrow", "segments.arrow"
NAMES = (FILES, DOCUMENTS, SEGMENTS)

_BATCH_ROWS = 1024
_BATCH_CHARS = 1 << 20


@dataclass(frozen=True)
class FileRow:
    """One file: what its bytes and its name were, and whether the pack may stand for it from now on."""

    key: bytes
    """Digest of all that its documents depend on, see `spice.corpus.cache.file_key`."""
    place: bytes
    """Digest of its name, start and version; empty if the source gave no version."""
    size: int
    documents: int
    """Rows in `documents`, in the order of files."""
    reusable: bool
    """False if something could not be read, which may have been the moment's fault."""


@dataclass(frozen=True)
class DocumentRow:
    """One document, or something in a file that did not become one: then `stage` says at which step."""

    member: str
    """What follows the name of the file in the name of the document."""
    title: str
    unit: str
    format: str
    stage: str
    reason: str
    detail: str
    notes: list[str]
    removed: int
    """Invisible characters taken out."""
    changed: list[str]
    """Names of the filters that took lines out."""
    document_id: bytes = b""
    """SHA-256 of the cleaned text."""
    words: bytes = b""
    """Digest of the words alone, equal for exact duplicates."""
    size: int = 0
    """Characters of the cleaned text."""
    language: str = ""
    bands: bytes = b""
    """One 64-bit hash per band, see `spice.corpus.near_duplicates`."""
    lines: bytes = b""
    """Sorted 64-bit hashes of its long lines, if repeated lines are looked for."""
    segments: int = 0
    """Rows in `segments`, in the order of documents."""


@dataclass(frozen=True)
class SegmentRow:
    """A piece of a document; see `spice.corpus.dataset.Segment`."""

    start: int
    end: int
    text: str
    tokens: int


def _schema(row: type[FileRow] | type[DocumentRow] | type[SegmentRow]) -> pa.Schema:
    types = {
        "bytes": pa.binary(),
        "str": pa.string(),
        "int": pa.int64(),
        "bool": pa.bool_(),
        "list[str]": pa.list_(pa.string()),
    }
    return pa.schema([pa.field(field.name, types[str(field.type)]) for field in fields(row)])


FILES_SCHEMA, DOCUMENTS_SCHEMA, SEGMENTS_SCHEMA = _schema(FileRow), _schema(DocumentRow), _schema(SegmentRow)


def write_rows(path: Path, schema: pa.Schema, rows: Sequence[FileRow | DocumentRow | SegmentRow]) -> None:
    """Write one table of a pack, in batches of about a megabyte, so that one row can be read without the others."""
    options = pa.ipc.IpcWriteOptions(compression="zstd", use_threads=False)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema, options=options) as writer:
        for chunk in _chunks(rows):
            columns = [pa.array([getattr(row, field.name) for row in chunk], field.type) for field in schema]
            writer.write_batch(pa.record_batch(columns, schema=schema))


class Table:
    """One table of a pack, read by batches.

    Raises:
        IntegrityError: the file is no table of a pack.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._explained():
            self._file = pa.OSFile(str(path), "rb")
            self._reader = pa.ipc.open_file(self._file)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """All batches, one at a time."""
        for number in range(self._reader.num_record_batches):
            with self._explained():
                yield self._reader.get_batch(number)

    def rows(self) -> Iterator[dict[str, Any]]:
        """All rows as plain values."""
        for batch in self.batches():
            yield from batch.to_pylist()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _explained(self) -> _Explained:
        return _Explained(self._path)


class _Explained:
    """Turns what Arrow says of a damaged file into an `IntegrityError` that names it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, pa.ArrowException | OSError):
            raise IntegrityError(
                f"{self._path} is not a table of a pack: {error}. Remove it and ingest again."
            ) from error


def _chunks(rows: Sequence[Any]) -> Iterator[Sequence[Any]]:
    begin = size = 0
    for place, row in enumerate(rows):
        size += len(row.text) if isinstance(row, SegmentRow) else 0
        if place + 1 - begin >= _BATCH_ROWS or size >= _BATCH_CHARS:
            yield rows[begin : place + 1]
            begin, size = place + 1, 0
    if begin < len(rows):
        yield rows[begin:]
