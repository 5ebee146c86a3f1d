"""WARC web archives: the pages that servers answered, and texts extracted from them (WET)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

from spice.config import CorpusConfig
from spice.corpus.document import UnreadableError
from spice.corpus.formats.base import Member, missing_extra

_TEXTS = ("resource", "conversion")


def unpack_warc(stream: BinaryIO, _config: CorpusConfig) -> Iterator[Member]:
    """Records with content, numbered as they stand in the file; redirects and error pages are no documents."""
    try:
        from warcio.archiveiterator import ArchiveIterator
        from warcio.exceptions import ArchiveLoadFailed
    except ImportError as error:
        raise missing_extra("WARC", "corpus") from error
    try:
        for number, record in enumerate(ArchiveIterator(stream), 1):
            if record.rec_type == "response" and record.http_headers is not None:
                if record.http_headers.get_statuscode() == "200":
                    yield _member(number, record, record.http_headers.get_header("Content-Type", ""))
            elif record.rec_type in _TEXTS:
                yield _member(number, record, record.rec_headers.get_header("Content-Type", ""))
    except ArchiveLoadFailed as error:
        raise UnreadableError("damaged WARC", " ".join(str(error).split())[:200]) from error


def _member(number: int, record: Any, media: str) -> Member:
    """A record under its number and address, since an address may be in the archive more than once."""
    address = (record.rec_headers.get_header("WARC-Target-URI") or "").partition("://")[2].partition("?")[0]
    return Member(f"{number}:{address.strip('/')}", record.content_stream(), record.length, media)
