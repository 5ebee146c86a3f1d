"""A writer killed anywhere leaves garbage at worst, never a broken reference."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from spice.config import StoreConfig
from spice.errors import NotFoundError
from spice.store import ObjectStore, artifacts, open_store

NAME = "datasets/facts"
OLD: dict[str, bytes | Path] = {"a": b"old a", "b": b"old b"}
NEW: dict[str, bytes | Path] = {"a": b"new a", "sub/b": b"new b"}

# The interpreter announces these just before it does them: every step that changes a folder or speaks to a service.
STEPS = {"open", "os.mkdir", "os.link", "os.rename", "os.remove", "http.client.connect", "http.client.send"}
MOST_STEPS = 200


def write_and_tag(store: ObjectStore, files: dict[str, bytes | Path]) -> str:
    ref = artifacts.write(store, NAME, files, {})
    artifacts.tag(store, NAME, "latest", ref.rpartition("/")[2])
    return ref


def killed_at(step: int, config: StoreConfig) -> bool:
    """Write NEW in a child that dies at its `step`-th step; False if it finished before."""
    child = os.fork()
    if child == 0:
        store = open_store(config)
        sys.addaudithook(_killer(step))
        write_and_tag(store, NEW)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert status in (0, signal.SIGKILL)
    return status != 0


def _killer(step: int) -> Callable[[str, tuple[object, ...]], None]:
    remaining = step

    def hook(event: str, _: tuple[object, ...]) -> None:
        nonlocal remaining
        if event in STEPS:
            if remaining == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            remaining -= 1

    return hook


def check_every_reference(store: ObjectStore) -> None:
    for info in list(store.list("datasets/")):
        if info.key.endswith("/manifest.json"):
            ref = info.key.removesuffix("/manifest.json")
            for name in artifacts.files(store, ref):
                artifacts.read(store, ref, name)


@pytest.mark.parametrize("before", [None, OLD], ids=["first version", "second version"])
def test_killed_before_any_step(
    store: ObjectStore, store_config: StoreConfig, before: dict[str, bytes | Path] | None
) -> None:
    old = write_and_tag(store, before) if before else None
    seen = set()
    for step in range(MOST_STEPS):
        alive = not killed_at(step, store_config)
        check_every_reference(store)
        try:
            seen.add(artifacts.resolve(store, NAME))
        except NotFoundError:
            assert old is None
        if alive:
            break
        for info in list(store.list("")):  # back to where it began, so that each death happens on the same path
            if info.key.startswith(f"{NAME}/") and (old is None or not info.key.startswith((old, f"{NAME}/tags"))):
                store.delete(info.key)
        if old:
            artifacts.tag(store, NAME, "latest", old.rpartition("/")[2])
    assert alive, "never finished"
    assert step > 6, "died too seldom for this test to mean anything"
    new = artifacts.resolve(store, NAME)
    assert artifacts.read(store, new, "sub/b") == b"new b"
    assert seen == {ref for ref in (old, new) if ref}


def test_a_run_after_the_kill_finishes_the_work(store: ObjectStore, store_config: StoreConfig) -> None:
    for step in (1, 3, 5):
        assert killed_at(step, store_config)
    ref = write_and_tag(store, NEW)
    assert artifacts.resolve(store, NAME) == ref
    check_every_reference(store)
