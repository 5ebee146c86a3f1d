"""States written in the background: whole or not at all, by several ranks together, and a failure is told."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from spice.config import StoreConfig, TrainingConfig
from spice.errors import StoreError, TrainingError
from spice.learner.ranks import ALONE
from spice.store import ObjectStore, artifacts, open_store
from spice.store.folder import FolderStore
from spice.training.checkpoints import Pointer, load_state
from spice.training.saving import Saver

BASE = ((0, "checkpoints/base"),)


class Number:
    """A state that is one number, written as one rank's part."""

    def __init__(self, number: int, rank: int = 0, before: Callable[[], None] = lambda: None) -> None:
        self._number, self._rank, self._before = number, rank, before

    def write(self, folder: Path) -> None:
        self._before()
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"part-{self._rank}").write_bytes(bytes([self._number]))


class Pair:
    """Two ranks in two threads: each one's bytes go to both."""

    size = 2

    def __init__(self, rank: int, table: list[bytes], barrier: threading.Barrier) -> None:
        self.rank, self._table, self._barrier = rank, table, barrier

    def gather(self, data: bytes) -> list[bytes]:
        self._table[self.rank] = data
        self._barrier.wait(30)
        found = list(self._table)
        self._barrier.wait(30)
        return found


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return open_store(StoreConfig(url=str(tmp_path)), {})


def saved(store: ObjectStore) -> dict[str, int]:
    state = load_state(store, "r")
    assert state is not None
    return {name: artifacts.read(store, state.resume, name)[0] for name in artifacts.files(store, state.resume)}


def test_training_goes_on_while_a_state_is_written(store: ObjectStore) -> None:
    go_on = threading.Event()
    with Saver(store, "r", Pointer(store, "r"), ALONE, TrainingConfig()) as saver:
        saver.save(Number(1, before=lambda: bool(go_on.wait(30)) or None), 1, BASE)
        assert load_state(store, "r") is None
        go_on.set()
        saver.wait()
        assert saved(store) == {"part-0": 1}
        saver.save(Number(2), 2, BASE)
    assert saved(store) == {"part-0": 2}, "what is under way is finished when the block is left"


def test_a_full_disk_is_told_and_the_state_before_stays_in_force(store: ObjectStore) -> None:
    def full() -> None:
        raise StoreError("no room left")

    with Saver(store, "r", Pointer(store, "r"), ALONE, TrainingConfig()) as saver:
        saver.save(Number(1), 1, BASE)
        saver.save(Number(2, before=full), 2, BASE)
        with pytest.raises(StoreError, match="no room left"):
            saver.save(Number(3), 3, BASE)
        assert saved(store) == {"part-0": 1}
        saver.save(Number(4), 4, BASE)
        saver.wait()
    assert saved(store) == {"part-0": 4}


def test_a_store_that_is_lost_is_told(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(*_: Any) -> None:
        raise StoreError("the store does not answer")

    with Saver(store, "r", Pointer(store, "r"), ALONE, TrainingConfig()) as saver:
        saver.save(Number(1), 1, BASE)
        saver.wait()
        monkeypatch.setattr(FolderStore, "put_file", lost)
        saver.save(Number(2), 2, BASE)
        with pytest.raises(StoreError, match="does not answer"):
            saver.wait()
    assert saved(store) == {"part-0": 1}


def both(store: ObjectStore, captured: list[Number]) -> list[Exception | None]:
    """Let two ranks save together; what each of them raised."""
    table, barrier = [b"", b""], threading.Barrier(2)
    raised: list[Exception | None] = [None, None]

    def work(rank: int) -> None:
        pointer = Pointer(store, "r") if rank == 0 else None
        ranks: Any = Pair(rank, table, barrier)
        with Saver(store, "r", pointer, ranks, TrainingConfig()) as saver:
            saver.save(captured[rank], 1, BASE)
            try:
                saver.wait()
            except (StoreError, TrainingError) as error:
                raised[rank] = error

    threads = [threading.Thread(target=work, args=(rank,)) for rank in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return raised


def test_every_rank_writes_its_part_of_one_state(store: ObjectStore) -> None:
    assert both(store, [Number(7, 0), Number(8, 1)]) == [None, None]
    assert saved(store) == {"part-0": 7, "part-1": 8}


def test_if_one_rank_fails_all_are_told_and_no_state_comes_into_force(store: ObjectStore) -> None:
    def full() -> None:
        raise StoreError("no room left")

    first, second = both(store, [Number(7, 0), Number(8, 1, before=full)])
    assert "Rank 1 could not save its state: no room left" in str(first)
    assert isinstance(second, StoreError)
    assert load_state(store, "r") is None
