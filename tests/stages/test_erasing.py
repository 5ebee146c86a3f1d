"""Erasing a document takes it out of versions, packs and runs, and keeps it out until the decision is withdrawn."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from spice import stages
from spice.config import CorpusConfig, StoreConfig
from spice.corpus import dataset
from spice.corpus.dataset import Segment
from spice.corpus.ingest import IngestReport, ingest
from spice.errors import CorpusError, IntegrityError, RefusedError, StoreError
from spice.promotion.erasure import erased
from spice.promotion.log import ReleaseLog
from spice.store import ObjectStore, artifacts, open_store
from spice.trust.enrol import enrol
from spice.trust.signing import Signer

CONFIG = CorpusConfig(segment_tokens=40, min_segment_tokens=3, held_out_share=0.0)


def count_words(texts: Sequence[str]) -> list[int]:
    return [len(text.split()) for text in texts]


def clock() -> datetime:
    return datetime(2026, 3, 1, tzinfo=UTC)


def prose(topic: str) -> str:
    return " ".join(f"{topic} fact {i} says that {topic} has {i * 7} {topic} things in {topic}." for i in range(9))


@dataclass
class World:
    store: ObjectStore
    folder: Path
    admin: Signer
    other: Signer

    def ingest(self) -> IngestReport:
        report = ingest([self.folder], "test", self.store, CONFIG, "words", count_words, erased=erased(self.store))
        prefix, _, digest = report.ref.rpartition("/")
        artifacts.tag(self.store, prefix, "latest", digest)
        return report

    def sources(self, ref: str) -> set[str]:
        return {segment.source for segment in dataset.load(self.store, ref)}

    def holds(self, words: str) -> list[str]:
        """Keys of objects in which some words can be found, packed or not."""
        found = []
        for info in self.store.list(""):
            data = self.store.get(info.key)
            if info.key.endswith(".parquet"):
                data = json.dumps(pq.read_table(io.BytesIO(data)).to_pylist()).encode()
            elif info.key.endswith(".arrow"):
                data = str(pa.ipc.open_file(pa.BufferReader(data)).read_all().to_pylist()).encode()
            if words.encode() in data:
                found.append(info.key)
        return found

    def train(self, corpus: str, run: str, used: str, other: str) -> list[str]:
        """A run that posed tasks about a document from its second iteration on; returns its checkpoints."""
        for iteration, segments in ((1, [other]), (2, [other, used]), (3, [used])):
            rows = [{"iteration": iteration, "document": one, "question": f"about {one}"} for one in segments]
            buffer = io.BytesIO()
            pq.write_table(pa.Table.from_pylist(rows), buffer)
            self.store.put(f"runs/{run}/tasks/{iteration:06d}.parquet", buffer.getvalue())
        self.store.put(f"runs/{run}/iterations/000002.json", b"{}")
        self.store.put(f"runs/{run}/report.html", b"a page")
        fields = {"corpus": corpus, "run": run}
        return [artifacts.write(self.store, "checkpoints", {"w": b"x"}, {**fields, "iteration": n}) for n in (1, 2, 3)]


@pytest.fixture
def world(tmp_path: Path) -> World:
    store = open_store(StoreConfig(url=str(tmp_path / "store")))
    people = [Signer(name, Ed25519PrivateKey.generate()) for name in ("root", "rita")]
    enrol(store, people[0], ("admin",), clock)
    enrol(store, people[1], ("requester",), clock, introducer=people[0])
    folder = tmp_path / "documents"
    folder.mkdir()
    for name in ("apple", "pear", "plum"):
        (folder / f"{name}.txt").write_text(prose(name))
    (folder / "copy.txt").write_text(prose("pear").upper())
    (folder / "near.txt").write_text(prose("pear") + " A last word.")
    return World(store, folder, *people)


def test_an_erased_document_is_nowhere_and_stays_away(world: World) -> None:
    first = world.ingest()
    segments = {one.source: one for one in dataset.load(world.store, first.ref)}
    assert set(segments) == {"apple.txt", "copy.txt", "plum.txt"}
    target = segments["copy.txt"]
    checkpoints = world.train(first.ref, "run-1", target.segment_id, segments["apple.txt"].segment_id)
    assert len(world.holds("PEAR HAS")) == 2  # the version and the pack

    done = stages.erase(world.store, "copy.txt", "asked for by its author", world.admin, clock)
    assert target.document_id in done.target.documents
    assert len(done.target.documents) == 2  # the copy in other letters is the same document
    assert done.target.near_copies == ("near.txt",)
    assert (done.tasks, done.runs) == (2, ("run-1",))
    assert set(done.checkpoints) == set(checkpoints[1:])
    assert world.holds("PEAR HAS") == []
    assert world.holds(target.segment_id) == []
    assert world.store.head("runs/run-1/iterations/000002.json") is not None
    assert world.store.head("runs/run-1/report.html") is None

    successor = done.successors[first.ref]
    assert world.sources("datasets/test") == {"apple.txt", "plum.txt"}
    assert artifacts.resolve(world.store, "datasets/test") == successor
    assert dataset.manifest(world.store, successor)["counts"]["documents_train"] == 2
    with pytest.raises(CorpusError, match="withdrawn because a document in it was erased"):
        dataset.load(world.store, first.ref)
    assert dataset.manifest(world.store, first.ref)["name"] == "test"

    entry = ReleaseLog(world.store).state.erased
    assert set(done.target.documents) <= set(next(iter(entry.values())))
    again = world.ingest()
    assert world.sources(again.ref) == {"apple.txt", "near.txt", "plum.txt"}
    left_out = artifacts.read(world.store, again.ref, dataset.LEFT_OUT).decode()
    assert left_out.count("erased by decision") == 2


def test_a_withdrawn_decision_lets_the_document_back_in(world: World) -> None:
    world.ingest()
    done = stages.erase(world.store, "apple.txt", "a mistake", world.admin, clock)
    assert world.sources(world.ingest().ref) == {"copy.txt", "plum.txt"}
    with pytest.raises(RefusedError, match="is not erased"):
        stages.readmit(world.store, "0" * 64, "no", world.admin, clock)
    stages.readmit(world.store, done.target.documents[0], "it was a mistake", world.admin, clock)
    back = world.ingest()
    assert world.sources(back.ref) == {"apple.txt", "copy.txt", "plum.txt"}


def test_erasing_again_completes_and_enters_nothing_new(world: World) -> None:
    world.ingest()
    digest = next(one.document_id for one in dataset.load(world.store, "datasets/test") if one.source == "apple.txt")
    stages.erase(world.store, "apple.txt", "once", world.admin, clock)
    length = ReleaseLog(world.store).length
    assert stages.erase(world.store, digest, "twice", world.admin, clock).sequence is None
    assert ReleaseLog(world.store).length == length


def test_only_an_admin_erases_and_a_dry_run_changes_nothing(world: World) -> None:
    world.ingest()
    before = {info.key: info.size for info in world.store.list("")}
    found = stages.erase(world.store, "plum.txt", "", world.admin, clock, dry_run=True)
    assert found.target.sources == ("plum.txt",)
    assert {info.key: info.size for info in world.store.list("")} == before
    with pytest.raises(RefusedError, match="admin"):
        stages.erase(world.store, "plum.txt", "", world.other, clock)
    assert world.sources("datasets/test") == {"apple.txt", "copy.txt", "plum.txt"}


class Interrupted:
    """A store that stops at a deletion, as a process that is killed does."""

    def __init__(self, store: ObjectStore, deletions: int) -> None:
        self._store, self._left = store, deletions

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def delete(self, key: str) -> None:
        if not self._left:
            raise StoreError(f"killed before {key} was deleted")
        self._left -= 1
        self._store.delete(key)


@pytest.mark.parametrize("deletions", range(7))
def test_an_interrupted_erasure_is_completed_by_repeating_it(world: World, deletions: int) -> None:
    """At whatever deletion it stopped, also the copy in other letters is found again, which only packs know of."""
    world.ingest()
    (digest,) = {one.document_id for one in dataset.load(world.store, "datasets/test") if one.source == "copy.txt"}
    with pytest.raises(StoreError, match="killed"):
        stages.erase(Interrupted(world.store, deletions), digest, "once", world.admin, clock)  # type: ignore[arg-type]
    stages.erase(world.store, digest, "again", world.admin, clock)
    assert world.holds("PEAR HAS") == world.holds("pear has") == []
    assert not [info.key for info in world.store.list("packs/") if not info.key.endswith("used.json")]
    assert world.sources("datasets/test") == {"apple.txt", "plum.txt"}


def test_the_last_document_of_a_split_leaves_no_count_behind(world: World, tmp_path: Path) -> None:
    writer = dataset.ShardWriter(tmp_path)
    for name, split in (("apple", "train"), ("plum", "held_out")):
        text = prose(name)
        document = sha256(text.encode()).hexdigest()
        writer.add(
            Segment(f"{document[:16]}-00000", document, name, "", "byte", 0, 9, document, text, 7, split)  # type: ignore[arg-type]
        )
    writer.flush()
    counts = {f"{what}_{split}": 1 for what in ("documents", "segments", "tokens") for split in dataset.SPLITS}
    listed = [["plum", "speaks to a model"], ["fig", "speaks to a model"]]
    fields = {"kind": "dataset", "name": "two", "counts": counts, "quarantined": listed}
    ref = artifacts.write(world.store, "datasets/two", dict(writer.files), fields)
    artifacts.tag(world.store, "datasets/two", "latest", ref.rpartition("/")[2])
    done = stages.erase(world.store, "plum", "", world.admin, clock)
    left = dataset.manifest(world.store, done.successors[ref])
    gone = dict.fromkeys(("documents_held_out", "segments_held_out", "tokens_held_out"), 0)
    assert left["counts"] == {**counts, **gone, "tokens_train": 7}
    assert left["quarantined"] == [["fig", "speaks to a model"]]
    for look in (lambda: dataset.find(world.store, ref, "x"), lambda: list(dataset.left_out(world.store, ref))):
        with pytest.raises(CorpusError, match="withdrawn because a document in it was erased"):
            look()


@pytest.mark.parametrize("name", ["nowhere.txt", "deadbeef", ""])
def test_an_unknown_document_is_refused(world: World, name: str) -> None:
    world.ingest()
    with pytest.raises(CorpusError, match="is no document"):
        stages.erase(world.store, name, "", world.admin, clock)


def test_a_digest_can_be_refused_before_it_ever_comes(world: World) -> None:
    digest = next(one.document_id for one in dataset.load(world.store, world.ingest().ref) if "plum" in one.source)
    (world.folder / "plum.txt").unlink()
    fresh = World(open_store(StoreConfig(url=f"{world.store.url}-2")), world.folder, world.admin, world.other)
    enrol(fresh.store, fresh.admin, ("admin",), clock)
    stages.erase(fresh.store, digest, "known from elsewhere", fresh.admin, clock)
    (world.folder / "plum.txt").write_text(prose("plum"))
    assert "plum.txt" not in fresh.sources(fresh.ingest().ref)


def test_ingest_refuses_when_nobody_can_tell_what_was_erased(world: World) -> None:
    world.ingest()
    stages.erase(world.store, "plum.txt", "", world.admin, clock)
    key = [info.key for info in world.store.list("ledger/")][-1]
    world.store.put(key, world.store.get(key).replace(b"corpus.erase", b"corpus.erasf"))
    with pytest.raises(IntegrityError):
        world.ingest()
