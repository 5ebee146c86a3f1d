"""Batches are stored as they are read, whichever is done first."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path

import pytest

from spice.config import CorpusConfig
from spice.corpus.catalogue import Catalogue
from spice.corpus.gather import Gatherer
from spice.corpus.packs import Packs
from spice.corpus.parsing import Parser
from spice.corpus.reading import Reader
from spice.corpus.source import SourceItem
from spice.corpus.workers import InProcess, Result
from spice.store.base import ObjectStore

AHEAD = 2


class LateFirst:
    """Readers of which the first is done only when the last batch has come."""

    def __init__(self, readers: InProcess, batches: int) -> None:
        self._readers, self._batches = readers, batches
        self._late: tuple[Future[Result], Result] | None = None

    def submit(self, items: Sequence[SourceItem]) -> Future[Result]:
        done = self._readers.submit(items)
        self._batches -= 1
        if self._late is None:
            self._late = Future(), done.result()
            return self._late[0]
        if not self._batches:
            self._late[0].set_result(self._late[1])
        return done


@pytest.mark.timeout(60)
def test_a_batch_that_takes_long_keeps_no_other_from_being_stored(store: ObjectStore, tmp_path: Path) -> None:
    config = CorpusConfig(segment_tokens=40, min_segment_tokens=3)
    items = []
    for number in range(8):
        path = tmp_path / f"{number}.txt"
        path.write_text(f"Note {number} of eight says little.")
        items.append(SourceItem(path.name, path.name, 9_000_000, None, path))  # a batch for each
    packs = Packs(store, "test", "0" * 64, tmp_path / "packs")
    with Catalogue(tmp_path / "catalogue.sqlite") as catalogue, Parser(config) as parser:
        reader = Reader(parser, config, frozenset(), lambda texts: [len(text.split()) for text in texts])
        readers = LateFirst(InProcess(reader, packs.new_folder), len(items))
        gatherer = Gatherer(catalogue, packs, readers, config, tmp_path / "fetched", AHEAD)
        gathered = gatherer.gather(iter(items), len(items), lambda done, total, what: None)
        assert gathered.read == len(items)
        assert [entry.name for entry in catalogue.entries()] == [item.name for item in items]
        titles = [row["title"] for one in catalogue.entries() for _, row in packs.get(one.pack).documents(one.file)]
    assert len(titles) == len(items)
