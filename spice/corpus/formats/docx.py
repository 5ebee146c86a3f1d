"""Word documents: paragraphs and tables in their order. Word keeps no pages, so positions count blocks."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from spice.config import CorpusConfig
from spice.corpus.document import Document
from spice.corpus.formats.base import missing_extra
from spice.corpus.formats.numbered import numbered_document
from spice.corpus.formats.zipped import open_zip

if TYPE_CHECKING:
    from docx.table import Table
    from docx.text.paragraph import Paragraph

_TITLE_STYLES = ("Title", "Heading 1")


def read_docx(data: bytes, config: CorpusConfig) -> Iterator[Document]:
    """One document; a table is one block, a line per row. Headers, footers and comments are left out."""
    try:
        from docx import Document as open_document
    except ImportError as error:
        raise missing_extra("Word documents", "corpus") from error
    open_zip(data, "Word document", config).close()
    word = open_document(io.BytesIO(data))
    blocks = list(word.iter_inner_content())
    title = (word.core_properties.title or "").strip() or _first_heading(blocks)
    yield numbered_document(title[:200], map(_text, blocks), "paragraph")


def _first_heading(blocks: list[Paragraph | Table]) -> str:
    styled = (block for block in blocks if getattr(getattr(block, "style", None), "name", "") in _TITLE_STYLES)
    return next((block.text.strip() for block in styled if hasattr(block, "text")), "")


def _text(block: Any) -> str:
    return block.text if hasattr(block, "text") else "\n".join(map(_row, block.rows))


def _row(row: Any) -> str:
    """Cells apart by bars; a merged cell is given once per column that it covers, and told once."""
    cells: list[Any] = []
    for cell in row.cells:
        if not cells or cell._tc is not cells[-1]._tc:
            cells.append(cell)
    return " | ".join(filter(None, (" ".join(cell.text.split()) for cell in cells)))
