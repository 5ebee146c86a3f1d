"""JSONL, JSON and Parquet: one document per row, read as a stream of any length."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, BinaryIO

from spice.config import CorpusConfig
from spice.corpus.document import Document, UnreadableError, Whole
from spice.corpus.formats.base import Unread
from spice.corpus.formats.text import read_code

_PARQUET_ROWS = 256
_BLOCK_BYTES = 1 << 20
_BROKEN = object()


def unpack_jsonl(stream: BinaryIO, config: CorpusConfig) -> Iterator[Document]:
    """One document per line that is an object with text; other lines become an empty document with a note."""
    yield from _lines(stream, 0, config)


def unpack_json(stream: BinaryIO, config: CorpusConfig) -> Iterator[Document | Unread]:
    """Rows, one a line or in one array, if the first is an object with text; any other JSON as source code."""
    first = stream.readline(config.max_file_bytes + 1)
    if first.endswith(b"\n") and (row := _with_text(first, config)) is not None:
        yield from_row(row, 1, config)
        yield from _lines(stream, 1, config)
        return
    data = first + stream.read(config.max_file_bytes + 1 - len(first))
    if len(data) > config.max_file_bytes:
        raise UnreadableError("too large", f"corpus.max_file_bytes is {config.max_file_bytes}")
    rows = _parsed(data) if data.lstrip()[:1] == b"[" else None
    if isinstance(rows, list) and rows and _is_row(rows[0], config):
        for number, value in enumerate(rows, 1):
            yield from_row(value if isinstance(value, dict) else {}, number, config)
    elif (single := _with_text(data, config)) is not None:
        yield from_row(single, 1, config)
    else:
        yield from read_code(data, config)


def unpack_parquet(stream: BinaryIO, config: CorpusConfig) -> Iterator[Document]:
    """One document per row of the text column, read batch by batch."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(stream)
        names = set(file.schema_arrow.names)
        if config.text_field not in names:
            raise UnreadableError(
                "no text column", f"{config.text_field} is not among {', '.join(sorted(names))[:200]}"
            )
        columns = [name for name in (config.text_field, config.title_field) if name in names]
        row = 0
        for batch in file.iter_batches(batch_size=_PARQUET_ROWS, columns=columns, use_threads=False):
            for value in batch.to_pylist():
                row += 1
                yield from_row(value, row, config)
    except (pa.ArrowException, OSError) as error:
        raise UnreadableError("damaged Parquet", str(error)[:200]) from error


def from_row(value: dict[str, Any], row: int, config: CorpusConfig) -> Document:
    """The document of one row, empty with a note if its text is missing."""
    text, title = value.get(config.text_field), value.get(config.title_field)
    if not isinstance(text, str) or not text.strip():
        return _broken(row, "row without text")
    return Document(title[:200] if isinstance(title, str) else "", text, Whole("row", row, row))


def _lines(stream: BinaryIO, row: int, config: CorpusConfig) -> Iterator[Document]:
    """The documents of the lines after `row`."""
    while line := stream.readline(config.max_file_bytes + 1):
        row += 1
        if row == 1:
            if line[:2] in {b"\xff\xfe", b"\xfe\xff"} or b"\0" in line[:65536]:
                raise UnreadableError("binary content", "JSONL must be UTF-8")
            line = line.removeprefix(b"\xef\xbb\xbf")
        if len(line) > config.max_file_bytes:
            yield _broken(row, "row is too large")
            while (rest := stream.readline(_BLOCK_BYTES)) and not rest.endswith(b"\n"):
                pass
        elif line.strip():
            value = _parsed(line)
            if value is _BROKEN:
                yield _broken(row, "row is not JSON")
            else:
                yield from_row(value if isinstance(value, dict) else {}, row, config)


def _with_text(data: bytes, config: CorpusConfig) -> dict[str, Any] | None:
    value = _parsed(data) if data.lstrip()[:1] == b"{" else None
    return value if _is_row(value, config) else None


def _is_row(value: Any, config: CorpusConfig) -> bool:
    return isinstance(value, dict) and isinstance(value.get(config.text_field), str)


def _parsed(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return _BROKEN


def _broken(row: int, note: str) -> Document:
    return Document("", "", Whole("row", row, row), (note,))
