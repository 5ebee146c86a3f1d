"""Presentations: the text of each slide and its notes."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

from spice.config import CorpusConfig
from spice.corpus.document import Document
from spice.corpus.formats.base import missing_extra
from spice.corpus.formats.numbered import numbered_document
from spice.corpus.formats.zipped import open_zip


def read_pptx(data: bytes, config: CorpusConfig) -> Iterator[Document]:
    """One document with slide numbers; hidden slides are left out, their numbers stay."""
    try:
        from pptx import Presentation
    except ImportError as error:
        raise missing_extra("presentations", "corpus") from error
    open_zip(data, "presentation", config).close()
    deck: Any = Presentation(io.BytesIO(data))
    slides = list(deck.slides)
    title = (deck.core_properties.title or "").strip() or next(map(_title, slides), "")
    yield numbered_document(title[:200], map(_slide, slides), "slide")


def _title(slide: Any) -> str:
    shape = slide.shapes.title
    return shape.text_frame.text.strip() if shape is not None else ""


def _slide(slide: Any) -> str:
    if slide._element.get("show") == "0":
        return ""
    parts = list(_shapes(slide.shapes))
    if slide.has_notes_slide and (notes := slide.notes_slide.notes_text_frame) is not None:
        parts.append(notes.text)
    return "\n\n".join(filter(None, map(str.strip, parts)))


def _shapes(shapes: Any) -> Iterator[str]:
    """The texts of shapes in drawing order, groups from within."""
    todo = list(shapes)[::-1]
    while todo:
        shape = todo.pop()
        if hasattr(shape, "shapes"):
            todo += list(shape.shapes)[::-1]
        elif shape.has_text_frame:
            yield shape.text_frame.text.replace("\x0b", "\n")
        elif getattr(shape, "has_table", False):
            rows = (" | ".join(" ".join(cell.text.split()) for cell in row.cells) for row in shape.table.rows)
            yield "\n".join(rows)
