"""Tables: CSV, TSV and the sheets of a workbook, a line of text per row."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Iterable, Iterator, Sequence

from spice.config import CorpusConfig
from spice.corpus.decode import decode
from spice.corpus.document import Document, UnreadableError
from spice.corpus.formats.base import Unread, missing_extra
from spice.corpus.formats.numbered import numbered_document
from spice.corpus.formats.rows import from_row
from spice.corpus.formats.zipped import open_zip

_DELIMITERS = ",;\t|"
_SAMPLE_CHARS = 65536
_LONGEST_HEADING = 100
_CELLS = " | "


def read_csv(data: bytes, config: CorpusConfig) -> Iterator[Document | Unread]:
    """One document per table, or one per row if a column has the name of `corpus.text_field`."""
    text, notes = _decoded(data)
    yield from _table(text, _delimiter(text[:_SAMPLE_CHARS]), notes, config)


def read_tsv(data: bytes, config: CorpusConfig) -> Iterator[Document | Unread]:
    """As `read_csv`, with tabs."""
    text, notes = _decoded(data)
    yield from _table(text, "\t", notes, config)


def read_workbook(data: bytes, _config: CorpusConfig) -> Iterator[Document | Unread]:
    """One document per sheet that holds anything; formulas as the values that were saved with them."""
    try:
        from python_calamine import CalamineError, CalamineWorkbook
    except ImportError as error:
        raise missing_extra("workbooks", "corpus") from error
    if data.startswith(b"PK"):
        open_zip(data, "workbook", _config).close()
    try:
        book = CalamineWorkbook.from_filelike(io.BytesIO(data))
    except CalamineError as error:
        raise UnreadableError("damaged or encrypted workbook", str(error)[:200]) from error
    for name in book.sheet_names:
        try:
            cells = book.get_sheet_by_name(name).to_python(skip_empty_area=False)
        except CalamineError as error:
            yield Unread("damaged sheet", str(error)[:200], name)
            continue
        yield numbered_document(name, _lines([_shown(cell) for cell in row] for row in cells), "row", member=name)


def _decoded(data: bytes) -> tuple[str, tuple[str, ...]]:
    decoded = decode(data)
    return decoded.text, decoded.notes


def _delimiter(sample: str) -> str:
    """The candidate that occurs most evenly: on the most lines, then most often. A plain list has none, so a comma."""
    lines = [line for line in sample.splitlines()[:50] if line.strip()]
    return max(_DELIMITERS, key=lambda one: (sum(one in line for line in lines), sample.count(one)))


def _table(text: str, delimiter: str, notes: tuple[str, ...], config: CorpusConfig) -> Iterator[Document | Unread]:
    csv.field_size_limit(config.max_file_bytes)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        first = next(rows, [])
        heading = [cell.strip() for cell in first]
        if config.text_field not in heading:
            yield numbered_document("", _lines(itertools.chain([first], rows)), "row", notes)
            return
        for number, row in enumerate(rows, 2):
            yield from_row(dict(zip(heading, row, strict=False)), number, config)
    except csv.Error as error:
        raise UnreadableError("damaged table", str(error)) from error


def _lines(rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """A row says what its cells are, because a passage of it is read without the heading."""
    heading: list[str] = []
    named = False
    for number, row in enumerate(rows):
        cells = [" ".join(cell.split()) for cell in row]
        if not number:
            heading, named = cells, _is_heading(cells)
        if named and number:
            yield _CELLS.join(f"{name}: {cell}" for name, cell in zip(heading, cells, strict=False) if cell)
        else:
            yield _CELLS.join(filter(None, cells))


def _is_heading(cells: Sequence[str]) -> bool:
    """Whether a first row names the columns: several short, different texts that are no numbers."""
    return (
        len(cells) > 1
        and all(0 < len(cell) <= _LONGEST_HEADING for cell in cells)
        and len(set(cells)) == len(cells)
        and not any(_is_number(cell) for cell in cells)
    )


def _is_number(cell: str) -> bool:
    return cell.replace(".", "").replace(",", "").replace("-", "").replace("%", "").strip().isdigit()


def _shown(cell: object) -> str:
    """A cell as people read it: whole numbers without a decimal point."""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell)
