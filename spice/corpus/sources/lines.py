"""Long files of rows as several items, so that they are parsed side by side and little of them is held at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from spice.config import CorpusConfig
from spice.corpus.source import SourceItem

_SPLIT = (".jsonl", ".ndjson")
_BLOCK_BYTES = 1 << 20


def parts(item: SourceItem, config: CorpusConfig) -> Iterator[SourceItem]:
    """A local item as it is, or, if it is a long file of rows, as several: for what was fetched, too."""
    if item.name.lower().endswith(_SPLIT) and (item.size or 0) > config.sources.rows_bytes:
        yield from split_rows(item, config.sources.rows_bytes)
    else:
        yield item


def split_rows(item: SourceItem, part_bytes: int) -> Iterator[SourceItem]:
    """Runs of whole rows, each ending at the first line end after `part_bytes`.

    Where a part ends depends on the bytes before it alone: a file that grew
    has the same parts as before, and new ones.

    Raises:
        UnreadableError: the file cannot be opened.
        OSError: it cannot be read.
    """
    with item.open() as file:
        start, row = 0, 1
        while True:
            rows, end = 0, start
            while block := file.read(min(_BLOCK_BYTES, max(1, start + part_bytes - end))):
                rows += block.count(b"\n")
                end += len(block)
                if end - start >= part_bytes:
                    break
            if end - start >= part_bytes and not block.endswith(b"\n"):
                rest = file.readline()
                rows += rest.count(b"\n")
                end += len(rest)
            if end == start:
                return
            yield replace(item, start=start, end=end, size=end - start, first_row=item.first_row + row - 1)
            start, row = end, row + rows
