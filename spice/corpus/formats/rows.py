"""JSONL and Parquet: one document per row, read as a stream of any length."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, BinaryIO

from spice.config import CorpusConfig
from spice.corpus.document import Document, UnreadableError, Whole

_PARQUET_ROWS = 256
_BLOCK_BYTES = 1 << 20


def unpack_jsonl(stream: BinaryIO, config: CorpusConfig) -> Iterator[Document]:
    """One document per line that is an object with text; other lines become an empty document with a note."""
    row = 0
    while line := stream.readline(config.max_file_bytes + 1):
        row += 1
        if row == 1:
            if line[:2] in {b"\xff\xfe", b"\xfe\xff"} or b"\0" in line[:65536]:
                raise UnreadableError("binary content", "JSONL must be UTF-8")
            line = line.removeprefix(b"\xef\xbb\xbf")
        if len(line) > config.max_file_bytes:
            yield _broken(row, "row is too large")
            _skip_line(stream)
        elif line.strip():
            yield _from_line(line, row, config)


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


def _skip_line(stream: BinaryIO) -> None:
    while (rest := stream.readline(_BLOCK_BYTES)) and not rest.endswith(b"\n"):
        pass


def _from_line(line: bytes, row: int, config: CorpusConfig) -> Document:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return _broken(row, "row is not JSON")
    return from_row(value if isinstance(value, dict) else {}, row, config)


def _broken(row: int, note: str) -> Document:
    return Document("", "", Whole("row", row, row), (note,))
