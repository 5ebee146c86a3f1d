"""64 promoters and 8 engagers at once, killed at random, over a network that fails: `make test-storm`."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from spice.errors import IntegrityError, RefusedError, StoreError
from spice.promotion import audit, release, switch
from spice.promotion.log import ReleaseLog
from spice.store import ObjectStore, open_store
from spice.store.folder import FolderStore

PROMOTERS, ENGAGERS, CANDIDATES = 64, 8, 8

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3000)]


class Mortal(FolderStore):
    """A folder store whose process is killed before or after its `last`th write."""

    def __init__(self, root: Path, last: int, before: bool) -> None:
        super().__init__(root)
        self._left, self._before = last, before

    def create(self, key: str, data: bytes) -> None:
        self._count(self._before)
        super().create(key, data)
        self._count(not self._before)

    def swap(self, key: str, data: bytes, expected: str | None) -> str:
        self._count(self._before)
        etag = super().swap(key, data, expected)
        self._count(not self._before)
        return etag

    def _count(self, now: bool) -> None:
        if now:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


class FailingNetwork:
    """Forwards connections to a service; some get a 500 instead, and all are cut after a random number of bytes."""

    def __init__(self, upstream: str, seed: int) -> None:
        host, _, port = upstream.partition(":")
        self._upstream, self._random = (host, int(port)), random.Random(seed)
        self._server = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"127.0.0.1:{self._server.getsockname()[1]}"
        self.cut = self.refused = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._server.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            refuse, budget = self._random.random() < 0.1, self._random.randrange(500, 60_000)
            threading.Thread(target=self._serve, args=(client, refuse, budget), daemon=True).start()

    def _serve(self, client: socket.socket, refuse: bool, budget: int) -> None:
        with client, contextlib.suppress(OSError):
            if refuse:
                self.refused += 1
                client.recv(65536)
                client.sendall(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                return
            with socket.create_connection(self._upstream) as upstream:
                threading.Thread(target=self._pump, args=(client, upstream, None), daemon=True).start()
                self._pump(upstream, client, budget)

    def _pump(self, source: socket.socket, sink: socket.socket, budget: int | None) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if budget is not None and len(data) >= budget:
                    self.cut += 1
                    sink.sendall(data[:budget])  # the reply is lost half way; what it answered was done
                    break
                sink.sendall(data)
                budget = budget - len(data) if budget is not None else None
        for each in (source, sink):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def failing(s3_server) -> Iterator[FailingNetwork]:
    network = FailingNetwork(s3_server.endpoint, seed=7)
    yield network
    network.close()


def requested(world) -> list[str]:
    refs = [world.requested(f"candidate-{number}") for number in range(CANDIDATES)]
    for ref in refs:
        world.approve(ref)
    return refs


def promote(world, store: ObjectStore, ref: str) -> object:
    return release.promote(store, ref, world.people["lena"], world.config, world.clock)


def engage(world, store: ObjectStore, name: str) -> object:
    return switch.engage(store, world.people[name], "storm", world.clock)


def check(world, engaged: bool) -> None:
    """One winner at most, nothing after the switch, nothing lost or doubled, and everything whole."""
    log = ReleaseLog(world.store)
    entries = world.entries()
    actions = [entry.action for entry in entries]
    assert actions.count("release") <= 1
    assert actions.count("kill.engage") == int(engaged)
    if engaged:
        assert "release" not in actions[actions.index("kill.engage") :]
        assert log.state.live is None
    assert world.pointer()["live"] == log.state.live
    assert audit.verify(world.store).problems == ()
    assert [entry.sequence for entry in entries] == list(range(7, log.length))


def all_at_once(jobs: list[Callable[[], object]]) -> list[object]:
    barrier = threading.Barrier(len(jobs))

    def run(job: Callable[[], object]) -> object:
        barrier.wait()
        try:
            return job()
        except (RefusedError, StoreError) as error:
            assert not isinstance(error, IntegrityError), error
            return error

    with ThreadPoolExecutor(len(jobs)) as pool:
        return list(pool.map(run, jobs))


@pytest.mark.parametrize("engagers", [0, ENGAGERS])
def test_threads_on_a_folder(world, engagers: int) -> None:
    refs = requested(world)
    jobs = [lambda ref=refs[n % CANDIDATES]: promote(world, world.store, ref) for n in range(PROMOTERS)]
    jobs += [lambda name=("otto", "olga")[n % 2]: engage(world, world.store, name) for n in range(engagers)]
    outcomes = all_at_once(jobs)
    assert not any(isinstance(outcome, StoreError) for outcome in outcomes)
    check(world, engagers > 0)
    if not engagers:
        assert ReleaseLog(world.store).state.live is not None


def test_processes_that_are_killed(world) -> None:
    refs = requested(world)
    chance = random.Random(11)
    children = []
    for number in range(PROMOTERS + ENGAGERS):
        mortal = Mortal(world.store.root, chance.choice([1, 2, 3, 10**6]), chance.random() < 0.5)
        child = os.fork()
        if child == 0:
            with contextlib.suppress(RefusedError):
                if number < PROMOTERS:
                    promote(world, mortal, refs[number % CANDIDATES])
                else:
                    engage(world, mortal, ("otto", "olga")[number % 2])
            os._exit(0)
        children.append(child)
    ends = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    assert -signal.SIGKILL in ends
    assert set(ends) <= {0, -signal.SIGKILL}
    engage(world, world.store, "otto")  # completes what the killed ones began
    check(world, engaged=True)


@pytest.mark.integration
def test_threads_on_s3_over_a_failing_network(s3_store_config, failing: FailingNetwork, world_in) -> None:
    world = world_in(open_store(s3_store_config))
    refs = requested(world)
    config = s3_store_config.model_copy(update={"endpoint": failing.endpoint})
    jobs = [lambda ref=refs[n % CANDIDATES]: promote(world, open_store(config), ref) for n in range(PROMOTERS)]
    jobs += [lambda name=("otto", "olga")[n % 2]: engage(world, open_store(config), name) for n in range(ENGAGERS)]
    all_at_once(jobs)
    assert failing.cut > 0
    assert failing.refused > 0
    engage(world, world.store, "otto")
    check(world, engaged=True)
