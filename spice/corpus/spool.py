"""Documents on disk between the passes of ingest, so that memory does not grow with the corpus."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from spice.corpus.document import Document, Positions


@dataclass(frozen=True)
class Record:
    """What stays in memory of one document; its raw text is in the spool."""

    source: str
    title: str
    positions: Positions
    document_id: str
    offset: int
    size: int


class Spool:
    """A temporary file of raw texts."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w+b")
        self._end = 0

    def __enter__(self) -> Spool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, source: str, document: Document, document_id: str) -> Record:
        """Write the text of a document and return what finds it again."""
        data = document.text.encode("utf-8", "surrogatepass")
        self._file.seek(self._end)
        self._file.write(data)
        record = Record(source, document.title, document.positions, document_id, self._end, len(data))
        self._end += len(data)
        return record

    def text(self, record: Record) -> str:
        """The raw text of a document."""
        self._file.seek(record.offset)
        return self._file.read(record.size).decode("utf-8", "surrogatepass")
