"""The main content of an HTML page, as trafilatura finds it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from spice.corpus.formats.base import missing_extra

# Below twice the length at which trafilatura itself gives up, its result is as often a notice as the content.
_LEAST_CHARS = 500
_LEAST_SHARE = 0.1
_CELLS = " | "


def main_content(markup: str, visible_chars: int) -> str:
    """The main text, blocks apart by blank lines, or nothing where little was found.

    Args:
        markup: the page, without hidden elements.
        visible_chars: length of all its text; a main content that is a small part of it is not believed.
    """
    try:
        from trafilatura import bare_extraction
    except ImportError as error:
        raise missing_extra("HTML with corpus.parsing.main_content", "corpus") from error
    found: Any = bare_extraction(markup, options=_options())
    if found is None or found.body is None:
        return ""
    text = "\n\n".join(filter(None, map(_block, found.body)))
    return text if len(text) >= max(_LEAST_CHARS, visible_chars * _LEAST_SHARE) else ""


@lru_cache(maxsize=1)
def _options() -> Any:
    """Without comments, metadata and the second extractor, which costs as much again as the first."""
    from trafilatura.settings import Extractor

    return Extractor(fast=True, comments=False, with_metadata=False)


def _block(element: Any) -> str:
    if element.tag == "table":
        return "\n".join(filter(None, (_row(row) for row in element.iter("row"))))
    if element.tag == "list":
        return "\n".join(filter(None, (_words(item) for item in element.iter("item"))))
    if element.tag in {"code", "quote"}:  # also made of preformatted text, whose layout carries meaning
        return "\n".join(line.rstrip() for line in "".join(_pieces(element)).split("\n")).strip("\n")
    return _words(element)


def _row(row: Any) -> str:
    return _CELLS.join(filter(None, (_words(cell) for cell in row.iter("cell"))))


def _words(element: Any) -> str:
    """All text below an element; a line break is the only layout that is kept."""
    joined = "".join(piece if piece == "\n" else piece.replace("\n", " ") for piece in _pieces(element))
    return "\n".join(" ".join(line.split()) for line in joined.split("\n")).strip()


def _pieces(element: Any) -> Iterator[str]:
    for node in element.iter():
        if node.tag == "lb":
            yield "\n"
        yield node.text or ""
        if node is not element:
            yield node.tail or ""
