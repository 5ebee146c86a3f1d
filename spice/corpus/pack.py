"""A pack: what one batch of files became, before documents are compared with each other.

Three Arrow tables. `files` says which bytes were read, `documents` what was
found in them, `segments` holds the text, cut but not yet chosen from. All that
a document becomes by itself stands in a pack, so a file whose bytes did not
change is never read again. Names are not part of it: a file may move.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import cached_property, lru_cache
from itertools import accumulate
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
    first: int
    """Where it begins, in units."""
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
    sha256: str
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


class PackWriter:
    """Writes a pack into a folder as its rows come; only the last megabyte is held.

    Args:
        folder: exists and is empty.
    """

    def __init__(self, folder: Path) -> None:
        self.files = _TableWriter(folder / FILES, FILES_SCHEMA)
        self.documents = _TableWriter(folder / DOCUMENTS, DOCUMENTS_SCHEMA)
        self.segments = _TableWriter(folder / SEGMENTS, SEGMENTS_SCHEMA)

    def close(self) -> None:
        """Complete the tables."""
        for table in (self.files, self.documents, self.segments):
            table.close()


class _TableWriter:
    """One table, in batches small enough that one row can be read without the others."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._schema = schema
        self._rows: list[FileRow | DocumentRow | SegmentRow] = []
        self._size = 0
        self._sink = pa.OSFile(str(path), "wb")
        options = pa.ipc.IpcWriteOptions(compression="zstd", use_threads=False)
        self._writer = pa.ipc.new_file(self._sink, schema, options=options)

    def add(self, row: FileRow | DocumentRow | SegmentRow) -> None:
        self._rows.append(row)
        self._size += len(row.text) if isinstance(row, SegmentRow) else 0
        if len(self._rows) >= _BATCH_ROWS or self._size >= _BATCH_CHARS:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._writer.close()
        self._sink.close()

    def _flush(self) -> None:
        if self._rows:
            columns = [pa.array([getattr(row, field.name) for row in self._rows], field.type) for field in self._schema]
            self._writer.write_batch(pa.record_batch(columns, schema=self._schema))
        self._rows, self._size = [], 0


class Pack:
    """A pack in a folder, read piece by piece.

    Args:
        folder: holds its three tables.

    Raises:
        IntegrityError: a file in it is no table of a pack.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @cached_property
    def documents(self) -> list[dict[str, Any]]:
        """All rows of `documents`, as plain values."""
        return [row for batch in self._batches(DOCUMENTS) for row in batch.to_pylist()]

    @cached_property
    def starts(self) -> list[int]:
        """For each file the index of its first document, and at the end the number of documents."""
        return [0, *accumulate(row["documents"] for row in self.files())]

    def files(self) -> Iterator[dict[str, Any]]:
        """All rows of `files`, as plain values."""
        for batch in self._batches(FILES):
            yield from batch.to_pylist()

    def segments(self, document: int) -> list[dict[str, Any]]:
        """The segments of a document, in order. Neighbours cost one reading."""
        first, last = self._segment_starts[document], self._segment_starts[document + 1]
        found: list[dict[str, Any]] = []
        number = bisect_right(self._batch_starts, first) - 1
        while first < last:
            begin, end = self._batch_starts[number], self._batch_starts[number + 1]
            found += self._segment_batch(number)[first - begin : min(last, end) - begin]
            first, number = min(last, end), number + 1
        return found

    @cached_property
    def _segment_starts(self) -> list[int]:
        counts = (count for batch in self._batches(DOCUMENTS, ["segments"]) for count in batch["segments"].to_pylist())
        return [0, *accumulate(counts)]

    @cached_property
    def _batch_starts(self) -> list[int]:
        return [0, *accumulate(len(batch) for batch in self._batches(SEGMENTS, ["tokens"]))]

    @cached_property
    def _segment_batch(self) -> Callable[[int], list[dict[str, Any]]]:
        reader = self._open(SEGMENTS)

        @lru_cache(maxsize=2)
        def read(number: int) -> list[dict[str, Any]]:
            with self._explained(SEGMENTS):
                return list(reader.get_batch(number).to_pylist())

        return read

    def _batches(self, name: str, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        reader = self._open(name, columns)
        for number in range(reader.num_record_batches):
            with self._explained(name):
                yield reader.get_batch(number)

    def _open(self, name: str, columns: list[str] | None = None) -> pa.ipc.RecordBatchFileReader:
        path = self._folder / name
        with self._explained(name):
            file = pa.OSFile(str(path), "rb")
            if columns is None:
                return pa.ipc.open_file(file)
            schema = pa.ipc.open_file(file).schema
            wanted = [schema.get_field_index(column) for column in columns]
            return pa.ipc.open_file(file, options=pa.ipc.IpcReadOptions(included_fields=wanted, use_threads=False))

    @contextmanager
    def _explained(self, name: str) -> Iterator[None]:
        try:
            yield
        except (pa.ArrowException, OSError) as error:
            raise IntegrityError(
                f"{self._folder / name} is no table of a pack: {error}. Remove it and ingest again."
            ) from error
