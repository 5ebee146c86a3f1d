"""The pointer to a run's state: it moves forward, and one process at a time moves it."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")

from spice.config import StoreConfig
from spice.errors import TrainingError
from spice.store import ObjectStore, artifacts, open_store
from spice.training.checkpoints import Pointer, load_state
from spice.training.record import update_run

BASE = ((0, "checkpoints/base"),)


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return open_store(StoreConfig(url=str(tmp_path)), {})


def advance(store: ObjectStore, pointer: Pointer, iteration: int, **keep: int) -> None:
    """Store a state that is one number, and point to it."""
    files: dict[str, bytes | Path] = {"number": bytes([iteration])}
    pointer.advance(artifacts.write(store, "runs/r/resume", files, {}), iteration, BASE, **keep)


def saved(store: ObjectStore) -> int:
    """The number in the state that the pointer names, which must be whole."""
    state = load_state(store, "r")
    assert state is not None
    return artifacts.read(store, state.resume, "number")[0]


def test_the_pointer_moves_on_and_keeps_the_last_state_only(store: ObjectStore) -> None:
    pointer = Pointer(store, "r")
    assert pointer.state is None
    for iteration in (1, 2, 3):
        advance(store, pointer, iteration)
        assert saved(store) == iteration
    assert len({info.key.split("/")[3] for info in store.list("runs/r/resume/")}) == 1


@pytest.mark.parametrize(
    ("keep", "left"),
    [({"keep_last": 1}, [7]), ({"keep_last": 3}, [5, 6, 7]), ({"keep_last": 2, "keep_every": 3}, [3, 6, 7])],
)
def test_as_many_states_stay_as_are_asked_for(store: ObjectStore, keep: dict[str, int], left: list[int]) -> None:
    pointer = Pointer(store, "r")
    for iteration in range(1, 8):
        advance(store, pointer, iteration, **keep)
    state = load_state(store, "r")
    assert state is not None
    assert [n for n, _ in state.kept] == left
    assert [artifacts.read(store, ref, "number")[0] for _, ref in state.kept] == left
    assert {info.key.rpartition("/")[0] for info in store.list("runs/r/resume/")} == {ref for _, ref in state.kept}


def test_what_a_killed_process_did_not_come_to_drop_goes_when_the_run_is_taken_up(store: ObjectStore) -> None:
    advance(store, Pointer(store, "r"), 1)
    artifacts.write(store, "runs/r/resume", {"number": bytes([0])}, {})
    Pointer(store, "r").take_over()
    assert len({info.key.split("/")[3] for info in store.list("runs/r/resume/")}) == 1
    assert saved(store) == 1


def test_whoever_resumes_a_run_stops_the_process_that_still_plays_it(store: ObjectStore) -> None:
    first = Pointer(store, "r")
    advance(store, first, 1)
    second = Pointer(store, "r")
    second.take_over()
    with pytest.raises(TrainingError, match="Another process goes on with the run r"):
        advance(store, first, 2)
    assert saved(store) == 1, "the loser has touched nothing"
    advance(store, second, 2)
    assert saved(store) == 2


def test_a_run_can_go_back_to_any_state_that_is_kept(store: ObjectStore) -> None:
    before = Pointer(store, "r")
    for iteration in range(1, 6):
        advance(store, before, iteration, keep_last=1, keep_every=2)
    back = Pointer(store, "r")
    back.take_over(2)
    assert saved(store) == 2
    with pytest.raises(TrainingError, match="Another process"):
        advance(store, before, 6)
    advance(store, back, 3, keep_last=1, keep_every=2)
    assert saved(store) == 3
    state = load_state(store, "r")
    assert state is not None
    assert [n for n, _ in state.kept] == [2, 3]
    assert {info.key.rpartition("/")[0] for info in store.list("runs/r/resume/")} == {ref for _, ref in state.kept}


def test_a_state_that_is_not_kept_is_refused_and_those_that_are_are_named(store: ObjectStore) -> None:
    with pytest.raises(TrainingError, match="there are: none"):
        Pointer(store, "r").take_over(1)
    for iteration in range(1, 6):
        advance(store, Pointer(store, "r"), iteration, keep_last=2)
    with pytest.raises(TrainingError, match="there are: 4, 5"):
        Pointer(store, "r").take_over(3)
    assert saved(store) == 5


def test_of_two_that_resume_at_once_one_goes_on(store: ObjectStore) -> None:
    advance(store, Pointer(store, "r"), 1)
    first, second = Pointer(store, "r"), Pointer(store, "r")
    first.take_over()
    with pytest.raises(TrainingError, match="Another process"):
        second.take_over()
    advance(store, first, 2)


def test_before_the_first_checkpoint_the_first_to_reach_it_goes_on(store: ObjectStore) -> None:
    first, second = Pointer(store, "r"), Pointer(store, "r")
    second.take_over()
    advance(store, first, 1)
    with pytest.raises(TrainingError, match="Another process"):
        advance(store, second, 1)


@pytest.mark.parametrize("data", [b"", b"{", b'{"iteration": 1}'])
def test_a_damaged_pointer_is_named(data: bytes, store: ObjectStore) -> None:
    store.put("runs/r/state.json", data)
    with pytest.raises(TrainingError, match=r"runs/r/state\.json"):
        Pointer(store, "r")


@pytest.mark.parametrize("data", [None, b"{", b"[]"])
def test_a_run_whose_record_is_gone_or_damaged_is_not_changed(data: bytes | None, store: ObjectStore) -> None:
    if data is not None:
        store.put("runs/r/run.json", data)
    with pytest.raises(TrainingError, match=r"runs/r/run\.json"):
        update_run(store, "r", status="trained")
    assert (store.read("runs/r/run.json") or (None,))[0] == data
