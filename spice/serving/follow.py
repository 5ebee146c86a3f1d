"""Follows the store: whatever may no longer answer is known within one reading of the switch.

Two loops, because the switch must not wait for the ledger. One reads only the
flags, and takes the live release out the moment that one is set. The other
takes in the ledger and says what comes instead. When either has not succeeded
for `blind_seconds`, nothing may be served: a switch that cannot be read may
have been engaged.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

from spice.config import ServingConfig
from spice.errors import SpiceError
from spice.serving.apikeys import ApiKey
from spice.serving.permit import Permit, PermitReader, tripped
from spice.store.base import ObjectStore
from spice.trust.keyring import Keyring
from spice.trust.ledger import Clock

log = logging.getLogger(__name__)

_T = TypeVar("_T")


class Follower:
    """Keeps a permit up to date.

    Args:
        store: what is followed.
        config: how often it is read, and how old a reading may be.
        announce: is given every new permit, in the event loop.
        clock: the present.
        monotonic: seconds, for ages.
    """

    def __init__(
        self,
        store: ObjectStore,
        config: ServingConfig,
        announce: Callable[[Permit], None],
        clock: Clock,
        monotonic: Callable[[], float],
    ) -> None:
        self.problem = ""  # why the store could not be read last, or ""
        self._store = store
        self._config = config
        self._announce = announce
        self._clock = clock
        self._monotonic = monotonic
        self._reader = PermitReader(store, clock)
        self._permit = Permit()  # by the latest whole reading
        self._announced = Permit()
        self._trips = 0
        self._wake = asyncio.Event()
        # Two threads of its own: the usual ones may be busy with loading models and reading prompts.
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="gateway-store")
        self._flags_read = self._ledger_read = float("-inf")

    @property
    def keys(self) -> Mapping[str, ApiKey]:
        """The API keys that open something, by id."""
        return self._reader.keys.usable

    @property
    def age(self) -> float:
        """Seconds since the older of the two readings began; infinite before the first."""
        return self._monotonic() - min(self._flags_read, self._ledger_read)

    @property
    def blind(self) -> bool:
        """Whether nothing may be served, because the store was not read for too long."""
        return self.age > self._config.blind_seconds

    async def run(self) -> None:
        """Follow until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._watch_flags())
                tasks.create_task(self._follow_ledger())
                tasks.create_task(self._watch_age())
        finally:
            self._threads.shutdown(wait=False)

    async def _watch_flags(self) -> None:
        keyring = Keyring(self._store)
        while True:
            began = self._monotonic()
            try:
                engaged = await self._in_thread(lambda: tripped(self._store, keyring, self._clock()))
            except SpiceError as error:
                self._note(str(error))
            else:
                self._flags_read = began
                if engaged and not self._announced.engaged:
                    self._trips += 1
                    self._tell(self._announced.without_live())
                if engaged != self._permit.engaged:
                    self._wake.set()
            await asyncio.sleep(self._config.poll_seconds)

    async def _follow_ledger(self) -> None:
        while True:
            self._wake.clear()
            began, trips = self._monotonic(), self._trips
            try:
                permit = await self._in_thread(self._reader.read)
            except SpiceError as error:
                self._note(str(error))
            else:
                if trips != self._trips:
                    continue  # read before a flag was set: it may still name what is out by now
                self._ledger_read, self._permit = began, permit
                self._note("")
                if not self.blind:
                    self._tell(permit)
            with suppress(TimeoutError):
                # Unlike Python 3.11's `wait_for`, this never loses a cancellation that meets the waking.
                async with asyncio.timeout(self._config.poll_seconds):
                    await self._wake.wait()

    async def _watch_age(self) -> None:
        while True:
            await asyncio.sleep(self._config.poll_seconds)
            if self.blind:
                self._tell(self._announced.suspended())

    async def _in_thread(self, read: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, read)

    def _tell(self, permit: Permit) -> None:
        if permit != self._announced:
            log.info("live=%s engaged=%s", permit.live, permit.engaged)
            self._announced = permit
            self._announce(permit)

    def _note(self, problem: str) -> None:
        if problem != self.problem:
            log.log(logging.WARNING if problem else logging.INFO, "store: %s", problem or "readable again")
            self.problem = problem
