"""Data sets of the Hugging Face hub, or in their layout in a folder, streamed: rows come as items of JSONL."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from functools import partial
from typing import Any
from urllib.parse import parse_qs

from spice.config import CorpusConfig
from spice.corpus.source import LeftOut, Opened, SourceItem
from spice.errors import CorpusError

_ADDRESS = re.compile(r"hf://(?P<name>[^:?]+?)(:(?P<config>[^/?]+))?/(?P<split>[A-Za-z0-9_.]+)(\?(?P<query>.*))?")
_ITEM_BYTES = 4 * 2**20
_LONGEST_TITLE = 200


class HubSource:
    """The rows of one split, some megabytes to an item, in their order.

    Args:
        address: `hf://owner/name[:config]/split[?text=column&title=column&revision=...]`.
        config: the columns where the address names none.

    Raises:
        CorpusError: the address is not understood, or the `datasets` library is not installed.
    """

    def __init__(self, address: str, config: CorpusConfig) -> None:
        matched = _ADDRESS.fullmatch(address)
        if matched is None:
            raise CorpusError(f"{address} is not understood: expected hf://owner/name[:config]/split[?text=column].")
        query = parse_qs(matched["query"] or "")
        if unknown := set(query) - {"text", "title", "revision"}:
            raise CorpusError(f"{address} asks for {', '.join(sorted(unknown))}: expected text, title or revision.")
        self._name, self._config, self._split = matched["name"], matched["config"], matched["split"]
        self._revision = query.get("revision", [None])[0]
        self._text = query.get("text", [config.text_field])[0]
        self._title = query.get("title", [config.title_field])[0]
        self._fields = (config.text_field, config.title_field)
        self._address = address.partition("?")[0]
        self._load = _loader(address)

    def items(self) -> Iterator[SourceItem | LeftOut]:
        """All rows. Raises `CorpusError` if the data set cannot be loaded or has no such column."""
        lines: list[bytes] = []
        size, first, number = 0, 1, 0
        for row_number, row in enumerate(self._rows(), 1):
            lines.append(self._line(row))
            size += len(lines[-1])
            if size >= _ITEM_BYTES:
                yield self._item(number, b"".join(lines), first)
                lines, size, first, number = [], 0, row_number + 1, number + 1
        if lines:
            yield self._item(number, b"".join(lines), first)

    def _rows(self) -> Iterator[dict[str, Any]]:
        try:
            rows = self._load(self._name, self._config, split=self._split, revision=self._revision, streaming=True)
            columns = rows.column_names
            if columns is not None and self._text not in columns:
                raise CorpusError(
                    f"{self._address} has no column {self._text!r}: it has {', '.join(columns)}. "
                    "Name one, as in ?text=column."
                )
            yield from rows
        # The library raises its own, the hub's, fsspec's and the parsers' errors.
        except (OSError, ValueError, RuntimeError, LookupError) as error:
            reason = " ".join(str(error).split())[:300]
            raise CorpusError(f"{self._address} cannot be read: {reason}") from error

    def _line(self, row: dict[str, Any]) -> bytes:
        text, title = row.get(self._text), row.get(self._title)
        fields = dict(zip(self._fields, (text, title[:_LONGEST_TITLE] if isinstance(title, str) else ""), strict=True))
        return json.dumps(fields, default=str).encode("ascii") + b"\n"

    def _item(self, number: int, data: bytes, first_row: int) -> SourceItem:
        name = f"{self._address}/{number:06d}.jsonl"
        return SourceItem(name, self._address, len(data), None, first_row=first_row, opened=partial(_opened, data))


def _opened(data: bytes) -> Opened:
    return Opened(io.BytesIO(data))


def _loader(address: str) -> Any:
    try:
        from datasets import load_dataset
    except ImportError as error:
        raise CorpusError(f"{address} needs an extra: pip install 'spice-platform[hub]'.") from error
    return load_dataset
