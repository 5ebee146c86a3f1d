"""Killed after any write, or with a call to the store failing: what is left is whole, and another try completes it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from spice.errors import RefusedError, StoreError
from spice.promotion import release, switch
from spice.promotion.log import ReleaseLog
from spice.store.folder import FolderStore

WRITES = ("put", "put_file", "create", "swap", "delete")
CALLS = (*WRITES, "get", "read", "head", "list")


class Interposed(FolderStore):
    """A folder store that calls `happen(number)` before or after each of the named calls."""

    def __init__(self, root: Path, names: tuple[str, ...], before: bool, happen: Callable[[int], None]) -> None:
        super().__init__(root)
        self.calls = 0
        for name in names:
            setattr(self, name, self._around(getattr(super(), name), before, happen))

    def _around(self, call: Callable, before: bool, happen: Callable[[int], None]) -> Callable:
        def wrapped(*args, **kwargs):
            self.calls += 1
            number = self.calls
            if before:
                happen(number)
            try:
                return call(*args, **kwargs)
            finally:
                if not before:
                    happen(number)

        return wrapped


def fail_at(wanted: int) -> Callable[[int], None]:
    def happen(number: int) -> None:
        if number == wanted:
            raise StoreError("500 from the store")

    return happen


def die_at(wanted: int) -> Callable[[int], None]:
    def happen(number: int) -> None:
        if number == wanted:
            os._exit(9)

    return happen


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed processes lose nothing that they wrote; only a power cut would."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture
def ready(world, tmp_path: Path):
    """A world with one release, and an approved request for the next; `again` puts it back to this state."""
    world.released("good")
    world.ref = world.requested("next")
    world.approve(world.ref)
    root = world.store.root
    shutil.copytree(root, tmp_path / "saved")

    def again() -> None:
        shutil.rmtree(root)
        shutil.copytree(tmp_path / "saved", root)
        world.store = FolderStore(root)

    world.again = again
    return world


def promote(world) -> object:
    return world.promote(world.ref)


def engage(world) -> object:
    return switch.engage(world.store, world.people["otto"], "stop", world.clock)


def calls_of(world, names: tuple[str, ...], act: Callable) -> int:
    world.store = Interposed(world.store.root, names, True, lambda number: None)
    act(world)
    count = world.store.calls
    world.again()
    return count


def in_child(act: Callable[[], object]) -> int:
    """Run `act` in a process that ends with it, or is ended by it; returns its exit status."""
    child = os.fork()
    if child == 0:
        try:
            act()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.parametrize("act", [promote, engage])
def test_killed_after_any_write(ready, act: Callable) -> None:
    good, new = ready.pointer()["live"], ready.candidate("next")
    ready.again()
    for number in range(1, calls_of(ready, WRITES, act) + 1):
        ready.store = Interposed(ready.store.root, WRITES, False, die_at(number))
        assert in_child(lambda: act(ready)) == 9
        ready.store = FolderStore(ready.store.root)
        log = ReleaseLog(ready.store)
        actions = [e.action for e in ready.entries()]
        if act is engage:
            assert log.engaged()
            assert release.status(log).live is None
            with pytest.raises(RefusedError):
                promote(ready)
            engage(ready)
            assert ready.pointer()["live"] is None
            assert [e.action for e in ready.entries()].count("kill.engage") == 1
        else:
            assert release.status(log).live == (new if actions[-1] == "release" else good)
            assert promote(ready).live == new
            assert ready.pointer()["live"] == new
            assert [e.action for e in ready.entries()].count("release") == 2
        assert ReleaseLog(ready.store).pointer_current()
        ready.again()


@pytest.mark.parametrize("before", [True, False], ids=["not done", "done, reply lost"])
def test_promoting_while_any_call_fails(ready, before: bool) -> None:
    good, new = ready.pointer()["live"], ready.candidate("next")
    ready.again()
    for number in range(1, calls_of(ready, CALLS, promote) + 1, 11):
        ready.store = Interposed(ready.store.root, CALLS, before, fail_at(number))
        with pytest.raises((StoreError, RefusedError)):
            promote(ready)
        ready.store = FolderStore(ready.store.root)
        assert release.status(ReleaseLog(ready.store)).live in (good, new)
        assert promote(ready).live == ready.pointer()["live"] == new
        assert [e.action for e in ready.entries()].count("release") == 2
        ready.again()


@pytest.mark.parametrize("before", [True, False], ids=["not done", "done, reply lost"])
def test_engaging_while_any_call_fails(ready, before: bool) -> None:
    for number in range(1, calls_of(ready, CALLS, engage) + 1, 4):
        ready.store = Interposed(ready.store.root, CALLS, before, fail_at(number))
        try:
            said = engage(ready).engaged
        except (StoreError, RefusedError):
            said = None
        ready.store = FolderStore(ready.store.root)
        if said:
            with pytest.raises(RefusedError):
                switch.require_disengaged(ready.store)
        engage(ready)
        assert ready.pointer()["live"] is None
        assert [e.action for e in ready.entries()].count("kill.engage") == 1
        ready.again()
