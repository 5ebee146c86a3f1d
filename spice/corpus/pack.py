"""A pack: what one batch of files became, before documents are compared with each other.

Three Arrow tables. `files` says which bytes were read, `documents` what was
found in them, `segments` holds the text, cut but not yet chosen from. All that
a document becomes by itself stands in a pack, so a file whose bytes did not
change is never read again. Names are not part of it: a file may move.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from spice.errors import IntegrityError

FILES, DOCUMENTS, SEGMENTS = "files.arrow", "documents.arrow", "segments.arrow"
NAMES = (FILES, DOCUMENTS, SEGMENTS)

_BATCH_ROWS = 1024
# Small, since a document whose like is looked at costs the reading of a batch.
_BATCH_CHARS = 1 << 18
# A narrow column of each table, read where only its length matters.
_COUNTED = {FILES: "documents", DOCUMENTS: "segments", SEGMENTS: "tokens"}


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


Rows = list[dict[str, Any]]
ReadRows = Callable[[Path, int], Rows]
"""All rows of one batch of a table, given the table's file and the number of the batch."""


def read_rows(path: Path, number: int) -> Rows:
    """The rows of one batch of a table, as plain values. Raises `IntegrityError` if it is no table of a pack."""
    with _explained(path), pa.OSFile(str(path), "rb") as file:
        return list(pa.ipc.open_file(file).get_batch(number).to_pylist())


class Pack:
    """A pack in a folder, read batch by batch; by itself it holds eight bytes per row.

    Args:
        folder: holds its three tables.
        read: `read_rows`, or the same with a memory, which several packs may share.

    Raises:
        IntegrityError: a file in it is no table of a pack.
    """

    def __init__(self, folder: Path, read: ReadRows = read_rows) -> None:
        self._documents = _Table(folder / DOCUMENTS, read)
        self._segments = _Table(folder / SEGMENTS, read)
        self._files = _Table(folder / FILES, read)

    def files(self) -> Iterator[dict[str, Any]]:
        """All rows of `files`, as plain values."""
        return self._files.rows(0, len(self._files))

    def documents(self, file: int) -> Iterator[tuple[int, dict[str, Any]]]:
        """The rows of `documents` that a file has, as plain values, each with its number in the pack."""
        first, last = self._first_documents[file : file + 2].tolist()
        return enumerate(self._documents.rows(first, last), first)

    def segments(self, document: int) -> Rows:
        """The segments of a document, in order."""
        first, last = self._first_segments[document : document + 2].tolist()
        return list(self._segments.rows(first, last))

    @cached_property
    def _first_documents(self) -> NDArray[np.int64]:
        return _sums(self._files.column("documents"))

    @cached_property
    def _first_segments(self) -> NDArray[np.int64]:
        return _sums(self._documents.column("segments"))


class _Table:
    """One table of a pack."""

    def __init__(self, path: Path, read: ReadRows) -> None:
        self._path, self._read = path, read

    def __len__(self) -> int:
        return int(self._starts[-1])

    def rows(self, first: int, last: int) -> Iterator[dict[str, Any]]:
        """The rows from `first` to before `last`."""
        number = int(np.searchsorted(self._starts, first, "right")) - 1
        while first < last:
            begin, end = self._starts[number : number + 2].tolist()
            yield from self._read(self._path, number)[first - begin : min(last, end) - begin]
            first, number = min(last, end), number + 1

    def column(self, name: str) -> NDArray[np.int64]:
        """One column of integers, shape (rows,)."""
        found = [batch.column(0).to_numpy() for batch in self._batches(name)]
        return np.concatenate(found) if found else np.zeros(0, np.int64)

    @cached_property
    def _starts(self) -> NDArray[np.int64]:
        """The first row of each batch, and at the end the number of rows."""
        return _sums(np.array([len(batch) for batch in self._batches(_COUNTED[self._path.name])], np.int64))

    def _batches(self, column: str) -> Iterator[pa.RecordBatch]:
        """All batches with one column only."""
        with _explained(self._path), pa.OSFile(str(self._path), "rb") as file:
            wanted = [pa.ipc.open_file(file).schema.get_field_index(column)]
            reader = pa.ipc.open_file(file, options=pa.ipc.IpcReadOptions(included_fields=wanted, use_threads=False))
            for number in range(reader.num_record_batches):
                yield reader.get_batch(number)


def _sums(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each run begins, and the end of the last, shape (runs + 1,)."""
    return np.concatenate((np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)))


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise IntegrityError(f"{path} is no table of a pack: {error}. Remove it and ingest again.") from error
