"""What the kill-switch's mirror writes, in the order in which it writes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from spice.config import StoreConfig
from spice.errors import ClusterError
from spice.kubeflow.mirror import Mirror
from spice.promotion import switch
from spice.store import ObjectStore, open_store
from spice.trust.enrol import enrol, own_signer
from spice.trust.keys import create_signer
from spice.trust.signing import Signer

START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Remembered:
    """A board that remembers what was written, and can be out of reach."""

    states: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    away: bool = False

    def write(self, state: Mapping[str, str]) -> None:
        if self.away:
            raise ClusterError("The Kubernetes API cannot be reached.")
        self.states.append(state["engaged"])
        self.reasons.append(state["reason"])


@pytest.fixture
def clock() -> Callable[[], datetime]:
    moments = (START + timedelta(seconds=number) for number in range(10_000))
    return lambda: next(moments)


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return open_store(StoreConfig(url=str(tmp_path / "store")))


@pytest.fixture
def operators(store: ObjectStore, clock: Callable[[], datetime], tmp_path: Path) -> tuple[Signer, Signer]:
    first = own_signer(store, "local", tmp_path / "keys", clock)
    second = create_signer("bea", tmp_path / "keys")
    enrol(store, second, ["operator"], clock, first)
    return first, second


def test_it_follows_the_switch_and_writes_only_what_changes(
    store: ObjectStore, operators: tuple[Signer, Signer], clock: Callable[[], datetime]
) -> None:
    target = Remembered()
    mirror = Mirror(store, target)
    mirror.look()
    mirror.look()
    switch.engage(store, operators[0], "it lies\nto\tpeople", clock)
    mirror.look()
    mirror.look()
    for operator in operators:
        switch.release(store, operator, "mended", clock)
    mirror.look()
    assert target.states == ["false", "true", "false"]
    assert target.reasons == ["", "it lies to people", ""]


def test_what_cannot_be_read_is_not_released(store: ObjectStore, tmp_path: Path) -> None:
    target = Remembered()
    mirror = Mirror(store, target)
    mirror.look()
    flag = tmp_path / "store/switch.json"
    flag.parent.mkdir(parents=True, exist_ok=True)
    flag.write_text("not a flag")
    mirror.look()
    flag.unlink()
    entry = tmp_path / "store/ledger/000000000000.json"
    entry.parent.mkdir()
    entry.write_text("not an entry")
    mirror.look()
    assert target.states == ["false", "true", "unknown"]


def test_a_server_out_of_reach_is_told_later(store: ObjectStore) -> None:
    target = Remembered(away=True)
    mirror = Mirror(store, target)
    mirror.look()
    target.away = False
    mirror.look()
    assert target.states == ["false"]


def test_it_is_written_again_now_and_then_in_case_somebody_changed_it(store: ObjectStore) -> None:
    target = Remembered()
    mirror = Mirror(store, target)
    for _ in range(100):
        mirror.look()
    assert 2 <= len(target.states) <= 10


def test_a_mirror_that_stops_says_so(store: ObjectStore) -> None:
    target = Remembered()
    answers = iter([False, False, True])
    Mirror(store, target).follow(lambda: next(answers))
    assert target.states == ["false", "unknown"]
