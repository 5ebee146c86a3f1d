"""All documents of an ingest, one at a time, in the order of their names."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from spice.corpus.catalogue import Catalogue, Entry
from spice.corpus.packs import Packs


@dataclass(frozen=True)
class Found:
    """A document of this ingest, or something that did not become one.

    Attributes:
        source: its name in the corpus.
        entry: its file.
        number: its place in `documents` of the pack.
        row: what stands there.
    """

    source: str
    entry: Entry
    number: int
    row: dict[str, Any]


def documents(catalogue: Catalogue, packs: Packs) -> Iterator[Found]:
    """Everything in the files of an ingest, in order of name."""
    for entry in catalogue.entries():
        for number, row in packs.get(entry.pack).documents(entry.file):
            yield Found(entry.name + row["member"], entry, number, row)


def passed(catalogue: Catalogue, packs: Packs) -> Iterator[Found]:
    """The documents that passed all steps of their own, in order; these are compared with each other."""
    return (one for one in documents(catalogue, packs) if not one.row["stage"])


def place(one: Found) -> str:
    """Name of a document in lists: rows of one file are told apart by their number."""
    return one.source + (f"#{one.row['first']}" if one.row["unit"] == "row" else "")
