"""PDF by page, with pdfium. Pages without a text layer are scans: told, and read by OCR where that is asked for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from spice.config import CorpusConfig
from spice.corpus.document import Document, UnreadableError
from spice.corpus.formats.base import Unread, missing_extra
from spice.corpus.formats.numbered import numbered_document
from spice.corpus.formats.ocr import page_reader

# pdfium marks a hyphen at a line's end that only divides a word.
_HYPHEN = re.compile("\ufffe\n?|\x02\n?|(?<=[a-z])-\n(?=[a-z])")
_RUNS_SHOWN = 20


def read_pdf(data: bytes, config: CorpusConfig) -> Iterator[Document | Unread]:
    """One document with page numbers, at most `corpus.pdf_pages` of them; a page left out is told.

    Raises:
        UnreadableError: encrypted, scanned throughout, or damaged.
    """
    try:
        import pypdfium2 as pdfium
    except ImportError as error:
        raise missing_extra("PDF", "corpus") from error
    if b"%PDF-" not in data[:1024]:
        raise UnreadableError("not a PDF file")
    try:
        file = pdfium.PdfDocument(data)
    except pdfium.PdfiumError as error:
        if "password" in str(error).lower():
            raise UnreadableError("encrypted PDF", "it asks for a password") from error
        raise UnreadableError("damaged PDF", str(error)[:200]) from error
    count = len(file)
    read = min(count, config.pdf_pages)
    texts = [_page_text(file, number) for number in range(read)]
    if not read or all(text is None for text in texts):
        raise UnreadableError("damaged PDF", f"none of {count} pages can be read")
    scanned = [number for number, text in enumerate(texts) if text == ""]
    notes: tuple[str, ...] = ("pages without text layer",) if scanned else ()
    if scanned and config.parsing.ocr:
        try:
            recognise = page_reader()
        except UnreadableError as error:
            yield Unread(error.reason, error.detail)
        else:
            texts = [recognise(file[number]) if text == "" else text for number, text in enumerate(texts)]
            scanned, notes = [], ("pages read by OCR",)
    if len(scanned) == read:
        raise UnreadableError("scanned PDF without text layer", f"{count} pages; see corpus.parsing.ocr")
    yield from _partly(count, read, scanned, [number for number, text in enumerate(texts) if text is None])
    title = file.get_metadata_value("Title").strip()
    yield numbered_document(title[:200], (text or "" for text in texts), "page", notes)


def _page_text(file: Any, number: int) -> str | None:
    """The text of one page, `None` if it is damaged."""
    import pypdfium2 as pdfium

    try:
        text = file[number].get_textpage().get_text_bounded()
    except pdfium.PdfiumError:
        return None
    return _HYPHEN.sub("", text.replace("\r\n", "\n").replace("\r", "\n")).strip()


def _partly(count: int, read: int, scanned: list[int], damaged: list[int]) -> Iterator[Unread]:
    if count > read:
        yield Unread("PDF pages beyond the limit", f"pages {read + 1} to {count}; corpus.pdf_pages is {read}")
    if scanned:
        yield Unread("pages without text layer", _pages(scanned))
    if damaged:
        yield Unread("damaged PDF pages", _pages(damaged))


def _pages(indices: list[int]) -> str:
    """`pages 3, 7 to 9` from indices in order."""
    runs: list[list[int]] = []
    for index in indices:
        if runs and runs[-1][1] == index:
            runs[-1][1] = index + 1
        else:
            runs.append([index + 1, index + 1])
    shown = ", ".join(f"{a}" if a == b else f"{a} to {b}" for a, b in runs[:_RUNS_SHOWN])
    return f"pages {shown}{' and more' if len(runs) > _RUNS_SHOWN else ''}"
