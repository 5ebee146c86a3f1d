"""What goes and what stays."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from spice.config import StoreConfig
from spice.errors import IntegrityError
from spice.store import ObjectStore, artifacts, gc, open_store
from spice.store.canonical import dumps
from spice.store.folder import FolderStore

LATER = 48 * 3600.0  # beyond the grace period


@pytest.fixture
def folder_store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "store")


def checkpoint(store: ObjectStore, name: str, **fields: str) -> str:
    return artifacts.write(store, "checkpoints", {"weights": name.encode()}, {"name": name, **fields})


def collect(store: ObjectStore, now: float | None = None) -> list[str]:
    now = time.time() + LATER if now is None else now
    found = gc.find(store, now)
    assert all(gc.remove(store, garbage, now) for garbage in found)
    return [garbage.name for garbage in found]


def test_what_nothing_refers_to_goes(store: ObjectStore) -> None:
    corpus = artifacts.write(store, "datasets/facts", {"a": b"1"}, {})
    lonely = checkpoint(store, "lonely")
    evaluation = artifacts.write_json(store, "evaluations", {"n": 1})
    assert collect(store) == sorted([corpus, lonely, evaluation])
    assert list(store.list("")) == []
    assert collect(store) == []


@pytest.mark.parametrize(
    ("root", "content"),
    [
        ("runs/first/run.json", '{{"checkpoint":"{ref}"}}'),
        ("runs/first/config.json", '{{"model":{{"name":"{ref}"}}}}'),
        ("ledger/000001.json", '{{"digest":"{digest}"}}'),
        ("release.json", '{{"live":"{digest}","previous":null}}'),
        ("switch.json", '{{"revoked":["{digest}"]}}'),
        ("requests/1.json", '{{"candidate":"{ref}"}}'),
        ("some/new/root.json", '["{ref}"]'),
        ("checkpoints/tags/good", "{digest}"),
    ],
)
def test_what_a_root_mentions_stays(folder_store: FolderStore, root: str, content: str) -> None:
    ref = checkpoint(folder_store, "wanted")
    other = checkpoint(folder_store, "lonely")
    folder_store.put(root, content.format(ref=ref, digest=ref.rpartition("/")[2]).encode())
    assert collect(folder_store) == [other]
    assert artifacts.read(folder_store, ref, "weights") == b"wanted"


def test_lineage_stays(store: ObjectStore) -> None:
    """A run names its checkpoint alone; base, corpus and evaluations follow from it."""
    corpus = artifacts.write(store, "datasets/facts", {"a": b"1"}, {})
    base = checkpoint(store, "base")
    candidate = checkpoint(store, "candidate", base=base, corpus=corpus)
    rival = checkpoint(store, "rival")
    evaluation = artifacts.write_json(store, "evaluations", {"candidate": candidate, "base": rival})
    unrelated = artifacts.write_json(store, "evaluations", {"candidate": checkpoint(store, "gone"), "base": base})
    store.put("runs/first/run.json", dumps({"checkpoint": candidate}))
    assert collect(store) == sorted([f"checkpoints/{checkpoint(store, 'gone').rpartition('/')[2]}", unrelated])
    for ref in (base, candidate, rival, corpus):
        artifacts.manifest(store, ref)
    assert artifacts.read_json(store, evaluation)


def test_tags_keep_their_version(store: ObjectStore) -> None:
    old = artifacts.write(store, "datasets/facts", {"a": b"1"}, {})
    new = artifacts.write(store, "datasets/facts", {"a": b"2"}, {})
    artifacts.tag(store, "datasets/facts", "latest", new.rpartition("/")[2])
    assert collect(store) == [old]
    assert artifacts.resolve(store, "datasets/facts") == new


def test_what_is_young_stays(store: ObjectStore) -> None:
    checkpoint(store, "of a run in progress")
    store.put(f"checkpoints/{'0' * 64}/weights", b"its manifest comes next")
    store.put("probe/x", b"")
    assert collect(store, time.time()) == []
    assert len(collect(store)) == 3


def test_an_artifact_that_was_never_finished(store: ObjectStore) -> None:
    store.put(f"checkpoints/{'0' * 64}/weights", b"half")
    found = gc.find(store, time.time() + LATER)
    assert [(each.name, each.reason, each.size) for each in found] == [
        (f"checkpoints/{'0' * 64}", "its writing was never finished", 4)
    ]


def test_temporary_files_of_killed_writers(folder_store: FolderStore) -> None:
    folder_store.put("runs/first/run.json", b"{}")
    child = os.fork()
    if child == 0:
        sys.addaudithook(lambda event, _: os._exit(0) if event == "os.rename" else None)
        folder_store.put("runs/first/x", b"half")
    os.waitpid(child, 0)
    leftover = [info.key for info in folder_store.leftovers()]
    assert len(leftover) == 1
    assert collect(folder_store, time.time()) == []
    assert collect(folder_store) == leftover
    assert list(folder_store.leftovers()) == []


def test_an_object_that_is_written_again_meanwhile_stays(folder_store: FolderStore) -> None:
    ref = checkpoint(folder_store, "back again")
    for info in folder_store.list(ref):
        os.utime(folder_store.root / info.key, (0, 0))
    (garbage,) = gc.find(folder_store, time.time())
    checkpoint(folder_store, "back again")
    assert gc.remove(folder_store, garbage, time.time()) is False
    assert artifacts.read(folder_store, ref, "weights") == b"back again"


def test_other_objects_are_never_touched(folder_store: FolderStore) -> None:
    keys = [
        "README",
        "runs/first/report.html",
        "runs/first/tasks/000000.parquet",
        "checkpoints/note.txt",
        "datasets/x/y",
    ]
    for key in keys:
        folder_store.put(key, b"")
    assert collect(folder_store) == []
    assert [info.key for info in folder_store.list("")] == sorted(keys)


def test_damage_stops_it(folder_store: FolderStore) -> None:
    """A damaged manifest might have mentioned anything."""
    ref = checkpoint(folder_store, "damaged")
    folder_store.put("runs/first/run.json", dumps({"checkpoint": ref}))
    folder_store.put(f"{ref}/manifest.json", b"{}")
    with pytest.raises(IntegrityError, match=ref):
        gc.find(folder_store, time.time() + LATER)


def test_a_reference_to_nothing_is_no_obstacle(folder_store: FolderStore) -> None:
    folder_store.put("runs/first/run.json", dumps({"checkpoint": f"checkpoints/{'0' * 64}"}))
    assert collect(folder_store) == []


def test_an_empty_store(tmp_path: Path) -> None:
    assert gc.find(open_store(StoreConfig(url=str(tmp_path / "nothing"))), 0.0) == []
