"""JSONL and Parquet: one document per row."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

from spice.config import CorpusConfig
from spice.corpus.document import Document, UnreadableError, Whole


def read_jsonl(data: bytes, config: CorpusConfig) -> Iterator[Document]:
    """One document per line that is an object with text; other lines become an empty document with a note."""
    if data[:2] in {b"\xff\xfe", b"\xfe\xff"} or b"\0" in data[:65536]:
        raise UnreadableError("binary content", "JSONL must be UTF-8")
    for row, line in enumerate(io.BytesIO(data.removeprefix(b"\xef\xbb\xbf")), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            yield _broken(row, "row is not JSON")
            continue
        yield _from_row(value if isinstance(value, dict) else {}, row, config)


def read_parquet(data: bytes, config: CorpusConfig) -> Iterator[Document]:
    """One document per row of the text column, read batch by batch."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(pa.BufferReader(data))
        names = set(file.schema_arrow.names)
        if config.text_field not in names:
            raise UnreadableError(
                "no text column", f"{config.text_field} is not among {', '.join(sorted(names))[:200]}"
            )
        columns = [name for name in (config.text_field, config.title_field) if name in names]
        row = 0
        for batch in file.iter_batches(batch_size=1024, columns=columns, use_threads=False):
            for value in batch.to_pylist():
                row += 1
                yield _from_row(value, row, config)
    except (pa.ArrowException, OSError) as error:
        raise UnreadableError("damaged Parquet", str(error)[:200]) from error


def _from_row(value: dict[str, Any], row: int, config: CorpusConfig) -> Document:
    text, title = value.get(config.text_field), value.get(config.title_field)
    if not isinstance(text, str) or not text.strip():
        return _broken(row, "row without text")
    return Document(title[:200] if isinstance(title, str) else "", text, Whole("row", row, row))


def _broken(row: int, note: str) -> Document:
    return Document("", "", Whole("row", row, row), (note,))
