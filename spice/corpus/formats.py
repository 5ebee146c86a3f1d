"""The formats, in one place: which reader takes which file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import PurePath

from spice.config import CorpusConfig
from spice.corpus.document import Document, UnreadableError
from spice.corpus.files import Found
from spice.corpus.html import read_html
from spice.corpus.pdf import read_pdf
from spice.corpus.tables import read_jsonl, read_parquet
from spice.corpus.text import read_markdown, read_text

Reader = Callable[[bytes, CorpusConfig], Iterator[Document]]

READERS: dict[str, Reader] = {
    ".txt": read_text,
    ".text": read_text,
    ".md": read_markdown,
    ".markdown": read_markdown,
    ".html": read_html,
    ".htm": read_html,
    ".xhtml": read_html,
    ".pdf": read_pdf,
    ".jsonl": read_jsonl,
    ".ndjson": read_jsonl,
    ".parquet": read_parquet,
}


def read(found: Found, config: CorpusConfig) -> Iterator[Document]:
    """The documents of one file.

    The name's extension chooses the reader; a file with another extension is
    judged by its first bytes.

    Raises:
        UnreadableError: the file is empty, too large, or not what its name says.
    """
    if found.size == 0:
        raise UnreadableError("empty file")
    if found.size > config.max_file_bytes:
        raise UnreadableError("too large", f"{found.size} bytes, corpus.max_file_bytes is {config.max_file_bytes}")
    try:
        data = found.path.read_bytes()
    except OSError as error:
        raise UnreadableError("cannot be opened", error.strerror or str(error)) from error
    reader = READERS.get(PurePath(found.source).suffix.lower()) or _sniff(data)
    yield from reader(data, config)


def _sniff(data: bytes) -> Reader:
    """The reader for a file whose name says nothing; the text reader refuses binaries itself."""
    head = data[:1024].lstrip().lower()
    if data.startswith(b"%PDF-"):
        return read_pdf
    if data.startswith(b"PAR1"):
        return read_parquet
    if head.startswith((b"<!doctype html", b"<html")):
        return read_html
    return read_text
