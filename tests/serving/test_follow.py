"""What the follower announces, without a server and without a model."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from spice.config import ServingConfig
from spice.errors import StoreError
from spice.serving import drillflag
from spice.serving.follow import Follower
from spice.serving.permit import Permit
from spice.store.folder import FolderStore

ONE, TWO = (f"checkpoints/{digit * 64}" for digit in "12")


class Slow(FolderStore):
    """A folder whose ledger can be held up, and which can fail."""

    def __init__(self, root) -> None:
        super().__init__(root)
        self.ledger = threading.Event()
        self.ledger.set()
        self.down = False

    def get(self, key: str) -> bytes:
        if key.startswith("ledger/"):
            self.ledger.wait()
        return super().get(key)

    def read(self, key: str) -> tuple[bytes, str] | None:
        if self.down:
            raise StoreError("the store is down")
        return super().read(key)


class Told:
    """What was announced, and a clock that is moved by hand."""

    def __init__(self) -> None:
        self.permits: list[Permit] = []
        self.seconds = 0.0
        self.news = asyncio.Event()

    def announce(self, permit: Permit) -> None:
        self.permits.append(permit)
        self.news.set()

    async def until(self, holds: Callable[[Permit], bool]) -> Permit:
        async with asyncio.timeout(60):
            while not self.permits or not holds(self.permits[-1]):
                self.news.clear()
                await self.news.wait()
        return self.permits[-1]


@asynccontextmanager
async def following(world, store) -> AsyncIterator[tuple[Told, Follower]]:
    told = Told()
    config = ServingConfig(poll_seconds=0.005, blind_seconds=2.0)
    follower = Follower(store, config, told.announce, world.now, lambda: told.seconds)
    task = asyncio.create_task(follower.run())
    try:
        yield told, follower
    finally:
        store.ledger.set()
        task.cancel()
        await asyncio.wait({task})


@pytest.fixture
def store(world) -> Slow:
    for number, ref in enumerate((ONE, TWO)):
        world.enter(str(number), ref)
    return Slow(world.store.root)


def test_the_switch_does_not_wait_for_the_ledger(world, store) -> None:
    async def run() -> None:
        async with following(world, store) as (told, _):
            await told.until(lambda permit: permit.live == TWO)
            store.ledger.clear()
            await asyncio.to_thread(world.engage)
            permit = await told.until(lambda permit: permit.live == ONE)
            assert TWO not in permit.good
            store.ledger.set()
            settled = await told.until(lambda permit: not permit.resting)
            assert (settled.live, settled.engaged, TWO in settled.good) == (ONE, True, False)

    asyncio.run(run())


def test_a_reading_from_before_the_switch_does_not_bring_the_release_back(world, store) -> None:
    async def run() -> None:
        async with following(world, store) as (told, _):
            await told.until(lambda permit: permit.live == TWO)
            await asyncio.to_thread(world.engage)
            await told.until(lambda permit: permit.engaged and not permit.resting)
            first = next(place for place, permit in enumerate(told.permits) if permit.engaged)
            assert all(permit.live == ONE for permit in told.permits[first:])

    asyncio.run(run())


def test_blindness_stops_everything_and_sight_brings_it_back(world, store) -> None:
    async def run() -> None:
        async with following(world, store) as (told, follower):
            await told.until(lambda permit: permit.live == TWO)
            store.down = True
            told.seconds = 1.9
            assert not follower.blind
            told.seconds = 10.0
            permit = await told.until(lambda permit: permit.live is None)
            assert (permit.good, permit.resting) == (frozenset(), {ONE, TWO})
            assert follower.blind
            store.down = False
            await told.until(lambda permit: permit.live == TWO)
            assert not follower.blind

    asyncio.run(run())


def test_a_drill_takes_the_live_release_out_until_it_ends(world, store) -> None:
    async def run() -> None:
        async with following(world, store) as (told, _):
            await told.until(lambda permit: permit.live == TWO)
            await asyncio.to_thread(drillflag.begin, store, world.people["otto"], world.now(), timedelta(minutes=1))
            permit = await told.until(lambda permit: permit.live == ONE)
            assert (permit.resting, TWO in permit.good) == ({TWO}, False)
            await asyncio.to_thread(drillflag.end, store, world.people["otto"], world.now())
            permit = await told.until(lambda permit: permit.live == TWO)
            assert TWO in permit.good

    asyncio.run(run())


@pytest.mark.parametrize("turns", range(4))
def test_it_ends_when_it_is_cancelled_in_the_moment_of_an_engagement(world, store, turns: int) -> None:
    """The wake-up and the cancellation meet within a few turns of the loop; neither may swallow the other."""

    async def run() -> None:
        ended: list[asyncio.Task[None]] = []
        live = asyncio.Event()

        def later(left: int) -> None:
            asyncio.get_running_loop().call_soon(*([later, left - 1] if left else [ended[0].cancel]))

        def announce(permit: Permit) -> None:
            if permit.engaged:
                later(turns)
            elif permit.live == TWO:
                live.set()

        config = ServingConfig(poll_seconds=0.25, blind_seconds=20)
        follower = Follower(store, config, announce, world.now, lambda: 0.0)
        ended.append(asyncio.create_task(follower.run()))
        await live.wait()
        await asyncio.to_thread(world.engage)
        async with asyncio.timeout(30):
            await asyncio.wait(ended)
        assert ended[0].cancelled()

    asyncio.run(run())
