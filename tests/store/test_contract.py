"""What every back end must do, run against each."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from spice.config import StoreConfig
from spice.errors import ConflictError, NotFoundError, StoreError
from spice.store import ObjectStore, open_store

RACERS = 16


@pytest.mark.parametrize("data", [b"", b"x", bytes(range(256)) * 1000], ids=["empty", "one byte", "256 kB"])
def test_put_then_get(store: ObjectStore, data: bytes) -> None:
    store.put("runs/first/a.bin", data)
    assert store.get("runs/first/a.bin") == data


def test_put_replaces(store: ObjectStore) -> None:
    store.put("a", b"a longer value")
    store.put("a", b"short")
    assert store.get("a") == b"short"


def test_key_of_a_deep_path_with_unusual_letters(store: ObjectStore) -> None:
    key = "runs/été 2025/a+b=c&d%20e/ü#?.json"
    store.put(key, b"1")
    assert store.get(key) == b"1"
    assert [info.key for info in store.list("runs/été")] == [key]


@pytest.mark.parametrize("size", [0, 1, 33 * 2**20 + 7], ids=["empty", "one byte", "several parts"])
def test_files_go_in_and_out_unchanged(store: ObjectStore, tmp_path: Path, size: int) -> None:
    source, copy = tmp_path / "source", tmp_path / "copy"
    source.write_bytes(bytes(i % 251 for i in range(997)) * (size // 997) + b"z" * (size % 997))
    store.put_file("big", source)
    store.get_file("big", copy)
    assert copy.read_bytes() == source.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["copy", "source"]


@pytest.mark.parametrize(
    "read", [lambda s, p: s.get("nothing"), lambda s, p: s.get_file("nothing", p / "copy")], ids=["get", "get_file"]
)
def test_what_is_absent_is_not_found(
    store: ObjectStore, tmp_path: Path, read: Callable[[ObjectStore, Path], object]
) -> None:
    with pytest.raises(NotFoundError, match=r"nothing.*is not in the store"):
        read(store, tmp_path)
    assert [path for path in tmp_path.iterdir() if path.is_file()] == []


def test_a_folder_of_keys_is_not_an_object(store: ObjectStore) -> None:
    store.put("runs/first/a", b"1")
    assert store.head("runs/first") is None
    with pytest.raises(NotFoundError):
        store.get("runs/first")


def test_head_and_list_describe(store: ObjectStore) -> None:
    before = time.time()
    store.put("a/b", b"12345")
    info = store.head("a/b")
    assert info is not None
    assert (info.key, info.size) == ("a/b", 5)
    assert abs(info.modified - before) < 30
    assert [found.key for found in store.list("a/")] == ["a/b"]
    assert store.head("a/c") is None


def test_list_is_in_order_of_key_and_by_prefix(store: ObjectStore) -> None:
    keys = ["a-b", "a", "a.b/c", "a/b/c", "a/b-c", "a/b", "a0", "b/a", "é"]
    # One name cannot be a file and a folder at once.
    keys = [key for key in keys if not any(other.startswith(f"{key}/") for other in keys)]
    for key in keys:
        store.put(key, b"")
    assert [info.key for info in store.list("")] == sorted(keys)
    for prefix in ("a", "a/", "a/b", "a.b/", "a/b/c", "b", "é", "nothing", "nothing/at/all"):
        expected = sorted(key for key in keys if key.startswith(prefix))
        assert [info.key for info in store.list(prefix)] == expected, prefix


def test_list_of_many(store: ObjectStore) -> None:
    keys = [f"many/{i:04d}" for i in range(1100)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: store.put(key, b""), keys))
    assert [info.key for info in store.list("many/")] == keys


def test_list_of_an_empty_store(store: ObjectStore) -> None:
    assert list(store.list("")) == []
    assert list(store.list("runs/")) == []


def test_delete(store: ObjectStore) -> None:
    store.put("a/b", b"1")
    store.put("a/c", b"1")
    store.delete("a/b")
    store.delete("a/b")
    store.delete("never/was")
    assert [info.key for info in store.list("")] == ["a/c"]


def test_create_only_once(store: ObjectStore) -> None:
    store.create("ledger/0", b"first")
    with pytest.raises(ConflictError, match=r"ledger/0.*already exists"):
        store.create("ledger/0", b"second")
    assert store.get("ledger/0") == b"first"


def test_swap(store: ObjectStore) -> None:
    assert store.read("pointer") is None
    first = store.swap("pointer", b"1", None)
    assert store.read("pointer") == (b"1", first)
    second = store.swap("pointer", b"2", first)
    assert store.read("pointer") == (b"2", second)
    for stale in (first, None, "0" * 32):
        with pytest.raises(ConflictError):
            store.swap("pointer", b"3", stale)
    assert store.get("pointer") == b"2"


def test_swap_of_what_is_gone(store: ObjectStore) -> None:
    etag = store.swap("pointer", b"1", None)
    store.delete("pointer")
    with pytest.raises(ConflictError):
        store.swap("pointer", b"2", etag)
    assert store.read("pointer") is None


def test_threads_race_to_create_and_one_wins(store: ObjectStore) -> None:
    def attempt(i: int) -> int | None:
        try:
            store.create("ledger/1", f"writer {i}".encode())
        except ConflictError:
            return None
        return i

    with ThreadPoolExecutor(RACERS) as pool:
        winners = [i for i in pool.map(attempt, range(RACERS)) if i is not None]
    assert len(winners) == 1
    assert store.get("ledger/1") == f"writer {winners[0]}".encode()


def test_threads_race_for_a_pointer_and_one_wins(store: ObjectStore) -> None:
    etag = store.swap("pointer", b"start", None)

    def attempt(i: int) -> int | None:
        try:
            store.swap("pointer", f"writer {i}".encode(), etag)
        except ConflictError:
            return None
        return i

    with ThreadPoolExecutor(RACERS) as pool:
        winners = [i for i in pool.map(attempt, range(RACERS)) if i is not None]
    assert len(winners) == 1
    assert store.get("pointer") == f"writer {winners[0]}".encode()


def test_no_increment_is_lost(store: ObjectStore) -> None:
    """A counter raised by compare-and-swap from several threads counts every step."""
    store.swap("counter", b"0", None)

    def increment(_: int) -> None:
        while True:
            value, etag = store.read("counter") or (b"", "")
            try:
                store.swap("counter", str(int(value) + 1).encode(), etag)
            except ConflictError:
                continue
            return

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(increment, range(24)))
    assert store.get("counter") == b"24"


def test_writers_and_deleters_share_a_folder(store: ObjectStore) -> None:
    """Deleting the last object of a folder never takes the folder from under a writer."""

    def write_and_delete(i: int) -> None:
        for _ in range(20):
            store.put(f"a/b/c/{i}", b"1")
            store.delete(f"a/b/c/{i}")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write_and_delete, range(4)))
    assert list(store.list("")) == []


RACER = """
import sys
from spice.config import StoreConfig
from spice.errors import ConflictError
from spice.store import open_store
store = open_store(StoreConfig.model_validate_json(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
try:
    store.swap("pointer", sys.argv[2].encode(), sys.argv[3])
    print("won")
except ConflictError:
    print("lost")
"""


def test_processes_race_for_a_pointer_and_one_wins(store_config: StoreConfig) -> None:
    store = open_store(store_config)
    etag = store.swap("pointer", b"start", None)
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, store_config.model_dump_json(), str(i), etag],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for i in range(2)
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("\n")
        racer.stdin.flush()
    results = [racer.communicate(timeout=60)[0].strip() for racer in racers]
    assert sorted(results) == ["lost", "won"]
    assert store.get("pointer") == str(results.index("won")).encode()


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/etc/passwd",
        "../a",
        "a/../../b",
        "a//b",
        "a/",
        ".",
        "./a",
        "a\\b",
        "a\nb",
        "a\0b",
        ".spice/lock",
        "x" * 300,
    ],
)
def test_keys_that_leave_the_store_are_refused(store: ObjectStore, key: str) -> None:
    with pytest.raises(StoreError, match="cannot be the name of an object"):
        store.put(key, b"1")
    with pytest.raises(StoreError, match="cannot be the name of an object"):
        store.get(key)
    assert list(store.list("")) == []


def test_the_address_names_the_store(store: ObjectStore, store_config: StoreConfig) -> None:
    assert store.url == store_config.url
