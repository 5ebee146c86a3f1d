from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from spice.config import SourcesConfig
from spice.corpus.document import UnreadableError
from spice.corpus.source import LeftOut, Opened, SourceItem
from spice.corpus.sources import fetch_ahead
from spice.errors import CorpusError

Entry = SourceItem | LeftOut


def remote(name: str, opened: Callable[[], Opened] | None = None) -> SourceItem:
    return SourceItem(
        name, name, None, None, opened=opened or (lambda: Opened(io.BytesIO(name.encode()), "text/plain"))
    )


def fail(error: Exception) -> Callable[[], Opened]:
    def opened() -> Opened:
        raise error

    return opened


def test_entries_keep_their_order_and_only_what_is_wanted_is_fetched(tmp_path: Path) -> None:
    local = SourceItem("local", "local", 1, "v", tmp_path / "x")
    entries: list[Entry] = [remote("a"), LeftOut("b", "walk", "hidden"), local, remote("known"), remote("e")]
    found = list(fetch_ahead(iter(entries), lambda item: item.name != "known", tmp_path, SourcesConfig()))
    assert [one.name if isinstance(one, SourceItem) else one.source for one in found] == [
        "a",
        "b",
        "local",
        "known",
        "e",
    ]
    first, _, same, known, last = found
    assert same is local
    assert isinstance(known, SourceItem)
    assert known.path is None
    for one in (first, last):
        assert isinstance(one, SourceItem)
        assert one.path is not None
        assert (one.path.read_bytes(), one.size, one.media) == (one.name.encode(), 1, "text/plain")


def test_files_are_fetched_at_once(tmp_path: Path) -> None:
    together = threading.Barrier(3, timeout=60)

    def opened() -> Opened:
        together.wait()  # breaks unless three are here
        return Opened(io.BytesIO(b"x"))

    config = SourcesConfig(connections=3)
    found = list(fetch_ahead(iter([remote(n, opened) for n in "abc"]), lambda item: True, tmp_path, config))
    assert all(isinstance(one, SourceItem) and one.size == 1 for one in found)


def test_what_cannot_be_fetched_is_told_and_leaves_nothing_behind(tmp_path: Path) -> None:
    config = SourcesConfig(fetch_bytes=2)
    entries = [remote("gone", fail(UnreadableError("cannot be opened", "NoSuchKey"))), remote("long"), remote("ok")]
    found = list(fetch_ahead(iter(entries), lambda item: True, tmp_path, config))
    assert found[:2] == [
        LeftOut("gone", "read", "cannot be opened", "NoSuchKey"),
        LeftOut("long", "read", "too large", "corpus.sources.fetch_bytes is 2"),
    ]
    assert len(list(tmp_path.iterdir())) == 1


def test_a_source_that_fails_ends_it(tmp_path: Path) -> None:
    entries = [remote("a"), remote("b", fail(CorpusError("the service is down"))), remote("c")]
    with pytest.raises(CorpusError, match="is down"):
        list(fetch_ahead(iter(entries), lambda item: True, tmp_path, SourcesConfig()))


def test_an_endless_source_is_not_read_far_ahead(tmp_path: Path) -> None:
    asked = 0

    def entries() -> Iterator[Entry]:
        nonlocal asked
        while True:
            asked += 1
            yield remote(f"{asked}")

    found = fetch_ahead(entries(), lambda item: True, tmp_path, SourcesConfig(connections=2))
    first = next(found)
    assert isinstance(first, SourceItem)
    assert asked <= 10
