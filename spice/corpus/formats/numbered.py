"""A document made of numbered parts."""

from __future__ import annotations

from collections.abc import Iterable

from spice.corpus.document import Document, Numbered, Unit

_BREAK = "\n\n"


def numbered_document(
    title: str, parts: Iterable[str], unit: Unit, notes: tuple[str, ...] = (), member: str = ""
) -> Document:
    """Parts one after the other, blank lines apart, each with its number from 1; an empty part has a number, too."""
    texts, starts, length = [], [], 0
    for text in parts:
        starts.append(length)
        texts.append(text)
        length += len(text) + len(_BREAK)
    return Document(title, _BREAK.join(texts), Numbered(tuple(starts), unit), notes, source=member)
