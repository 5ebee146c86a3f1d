"""Segments of a version that are read from disk when they are asked for."""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spice.corpus import dataset
from spice.corpus.dataset import Segment, ShardWriter
from spice.corpus.passages import Passages, opened
from spice.errors import CorpusError, IntegrityError, StoreError
from spice.store import artifacts
from spice.store.base import ObjectStore
from spice.store.canonical import digest


def segments(*lengths: int) -> list[Segment]:
    """Training segments with texts of these lengths, and a held-out one after every third."""
    found = []
    for number, length in enumerate(lengths):
        text = f"{number} é " + "word " * length
        split = "held_out" if number % 4 == 3 else "train"
        name = f"{number:016x}-00000"
        found.append(
            Segment(name, name[:16], f"{number}.md", "", "byte", 0, length, digest(text.encode()), text, 1, split)
        )
    return found


def version(store: ObjectStore, folder: Path, rows: list[Segment]) -> str:
    writer = ShardWriter(folder)
    for row in rows:
        writer.add(row)
    writer.flush()
    return artifacts.write(store, "datasets/notes", dict(writer.files), {"kind": "dataset"})


@given(st.lists(st.integers(0, 20_000), min_size=1, max_size=12), st.randoms())
@settings(deadline=None, max_examples=25)
def test_every_segment_is_found_at_its_place_in_any_order(lengths, random) -> None:
    rows = segments(*lengths)
    passages = Passages(rows)
    assert len(passages) == len(rows)
    assert list(passages) == rows
    places = list(range(len(rows))) * 2
    random.shuffle(places)
    assert [passages[place] for place in places] == [rows[place] for place in places]
    for outside in (-1, len(rows)):
        with pytest.raises(IndexError, match=f"none has the position {outside}"):
            passages[outside]
    passages.close()


@pytest.mark.parametrize("split", ["train", "held_out"])
def test_one_split_of_a_version_is_opened(store: ObjectStore, tmp_path: Path, split: dataset.Split) -> None:
    ref = version(store, tmp_path, segments(*range(700)))
    with opened(store, ref, split) as passages:
        assert list(passages) == dataset.load(store, ref, split)


def test_threads_read_beside_each_other() -> None:
    rows = segments(*[20] * 400)
    passages = Passages(rows)
    with ThreadPoolExecutor(4) as pool:
        places = [place * 37 % len(rows) for place in range(800)]
        assert list(pool.map(passages.__getitem__, places)) == [rows[place] for place in places]
    passages.close()


def test_nothing_stays_in_the_temporary_folder(store: ObjectStore, tmp_path: Path, monkeypatch) -> None:
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    (tmp_path / "version").mkdir()
    ref = version(store, tmp_path / "version", segments(1, 2))
    with opened(store, ref, "train") as passages:
        assert len(passages) == 2
        assert list(place.iterdir()) == []


def test_what_cannot_be_opened_is_told(store: ObjectStore, tmp_path: Path, monkeypatch) -> None:
    ref = version(store, tmp_path, segments(1))
    with pytest.raises(CorpusError, match="has no held_out segments"), opened(store, ref, "held_out"):
        pass
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(StoreError, match=r"could not be copied to .*gone"), opened(store, ref, "train"):
        pass
    monkeypatch.undo()
    store.put(f"{ref}/segments-00000.parquet", b"something else")
    with pytest.raises(IntegrityError, match="was changed"), opened(store, ref, "train"):
        pass
