"""Real full disks and read-only mounts: an error that says what to do, and nothing half written."""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from spice.config import StoreConfig
from spice.errors import StoreError
from spice.store import ObjectStore, artifacts, open_store

TOO_MUCH = b"x" * 2**20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    _mount("-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder))
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


WRITES: list[Callable[[ObjectStore, Path], object]] = [
    lambda store, big: store.put("runs/big", TOO_MUCH),
    lambda store, big: store.put_file("runs/big", big),
    lambda store, big: store.create("runs/big", TOO_MUCH),
    lambda store, big: store.swap("runs/big", TOO_MUCH, None),
    lambda store, big: store.swap("pointer", TOO_MUCH, store.read("pointer")[1]),  # type: ignore[index]
    lambda store, big: artifacts.write(store, "checkpoints", {"a": b"small", "weights": big}, {}),
]
WRITE_IDS = ["put", "put_file", "create", "swap in", "swap", "artifact"]


@pytest.mark.parametrize("write", WRITES, ids=WRITE_IDS)
def test_a_full_disk(small_disk: Path, tmp_path: Path, write: Callable[[ObjectStore, Path], object]) -> None:
    big = tmp_path / "big"
    big.write_bytes(TOO_MUCH)
    store = open_store(StoreConfig(url=str(small_disk / "store")))
    store.swap("pointer", b"1", None)
    with pytest.raises(StoreError, match=r"no room left in .*/disk/store .*spice gc.*store\.url"):
        write(store, big)
    assert store.get("pointer") == b"1"
    assert [info.key for info in store.list("") if not info.key.endswith("/a")] == ["pointer"]
    assert list(store.leftovers()) == []
    store.put("small", b"still works")


def test_a_download_to_a_full_disk(small_disk: Path, tmp_path: Path) -> None:
    store = open_store(StoreConfig(url=str(tmp_path / "store")))
    ref = artifacts.write(store, "checkpoints", {"weights": TOO_MUCH}, {})
    with pytest.raises(StoreError, match="no room left"):
        artifacts.download(store, ref, small_disk / "copy")
    assert list(small_disk.iterdir()) == []


@pytest.mark.parametrize("write", WRITES, ids=WRITE_IDS)
def test_a_read_only_store(small_disk: Path, tmp_path: Path, write: Callable[[ObjectStore, Path], object]) -> None:
    big = tmp_path / "big"
    big.write_bytes(b"small this time")
    store = open_store(StoreConfig(url=str(small_disk / "store")))
    store.swap("pointer", b"1", None)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(StoreError, match=r"/disk/store is closed to this user .*permissions or mount"):
        write(store, big)
    with pytest.raises(StoreError, match="closed to this user"):
        store.delete("pointer")
    assert [info.key for info in store.list("")] == ["pointer"]
    assert store.get("pointer") == b"1"


LIMITED = """
import sys
from spice.config import StoreConfig
from spice.errors import StoreError
from spice.store import open_store
store = open_store(StoreConfig(url=sys.argv[1]))
try:
    store.put("runs/big", b"x" * 2**20)
except StoreError as error:
    print(error)
"""


def test_a_limit_on_file_size_needs_no_mount(tmp_path: Path) -> None:
    """The same path as a full disk, for machines on which tests may not mount."""
    url = str(tmp_path / "store")
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, url],
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, 2**16)),
    )
    assert "no room left" in done.stdout
    store = open_store(StoreConfig(url=url))
    assert [*store.list(""), *store.leftovers()] == []


def test_a_file_where_the_store_should_be(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a note")
    store = open_store(StoreConfig(url=str(tmp_path / "store")))
    with pytest.raises(StoreError, match=r"a file, .*store, stands where a folder is needed"):
        store.put("a", b"1")
    assert (tmp_path / "store").read_text() == "a note"


def test_a_key_below_an_object(tmp_path: Path) -> None:
    store = open_store(StoreConfig(url=str(tmp_path / "store")))
    store.put("a", b"1")
    with pytest.raises(StoreError, match="stands where a folder is needed"):
        store.put("a/b", b"2")
    assert [info.key for info in store.list("")] == ["a"]
    assert list(store.leftovers()) == []


def _mount(*arguments: str) -> None:
    if shutil.which("mount") is None:
        pytest.skip("NOT TESTED: full and read-only disks, since there is no mount command")
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"NOT TESTED: full and read-only disks, since mounting is not permitted: {done.stderr.strip()}")
