"""The releases in memory: which one answers, which are kept warm, and which must stop.

A promotion loses nothing: the new release is loaded while the old one answers,
then new requests go to the new one, and the old one ends what it has begun. A
revocation waits for nothing: everything that the revoked release is answering
is cut in the moment that the permit changes.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress

from spice.config import ServingConfig
from spice.errors import SpiceError
from spice.serving.backend import Backend
from spice.serving.errors import GatewayError, revoked, unavailable
from spice.serving.memory import available_bytes
from spice.serving.metrics import Metrics, short
from spice.serving.permit import Permit

log = logging.getLogger(__name__)

_FIRST_RETRY_SECONDS = 1.0
_LAST_RETRY_SECONDS = 60.0  # a large checkpoint is read again as a whole each time


class Loaded:
    """A release in memory.

    Attributes:
        ref: `checkpoints/<digest>`.
        backend: answers.
        active: requests that it is answering.
        cut: a future that is given the reason when they must stop at once.
        hearing: how many of them that future will reach.
        retired: since when it is no longer wanted, in seconds of the fleet's clock, or `None`.
    """

    def __init__(self, ref: str, backend: Backend) -> None:
        self.ref = ref
        self.backend = backend
        self.active = 0
        self.hearing = 0
        self.cut: asyncio.Future[GatewayError] = asyncio.get_running_loop().create_future()
        self.retired: float | None = None

    def stop(self, reason: GatewayError) -> None:
        """Cut what it is answering; what it is asked later is not affected."""
        self.cut.set_result(reason)
        self.hearing = 0
        self.cut = asyncio.get_running_loop().create_future()


class Fleet:
    """All releases in memory.

    Args:
        config: limits, canary, how many are kept warm.
        load: makes the back end of a release.
        metrics: counts.
        rng: chooses who gets the canary.
        monotonic: seconds, for limits.
    """

    def __init__(
        self,
        config: ServingConfig,
        load: Callable[[str], Awaitable[Backend]],
        metrics: Metrics,
        rng: random.Random,
        monotonic: Callable[[], float],
    ) -> None:
        self._config = config
        self._load = load
        self._metrics = metrics
        self._rng = rng
        self._monotonic = monotonic
        self._permit = Permit()
        self._loaded: dict[str, Loaded] = {}
        self._answering: str | None = None
        self._awaited = 0.0  # since when the live release is not there although it should be
        self._retry: dict[str, tuple[float, float]] = {}  # what would not load: seconds between attempts, and the next
        self._spared: set[str] = set()  # earlier releases that were unloaded because memory was short
        self._wake = asyncio.Event()

    def permit(self, permit: Permit) -> None:
        """Obey a new permit. Requests of what is not good any more are cut before this returns."""
        if permit.live != self._permit.live:
            self._awaited = self._monotonic()
        self._permit = permit
        self._spared.clear()
        for loaded in self._loaded.values():
            # The switch is read on two ways, its flag and the ledger: what was cut once is still leaving.
            if loaded.ref not in permit.good and loaded.hearing:
                log.warning("cut %d requests of %s", loaded.hearing, loaded.ref)
                self._metrics.cut.inc(loaded.hearing)
                loaded.stop(revoked())
        self._metrics.show_live(permit.live, engaged=permit.engaged)
        self._wake.set()

    @contextmanager
    def answering(self, model: str) -> Iterator[Loaded]:
        """The release that answers a request for `model`, held until the block is left.

        Raises:
            GatewayError: there is no such model, or nothing may answer now.
        """
        loaded = self._pick(model)
        loaded.active += 1
        loaded.hearing += 1
        cut = loaded.cut
        gauge = self._metrics.active.labels(short(loaded.ref))
        gauge.inc()
        try:
            yield loaded
        finally:
            loaded.active -= 1
            loaded.hearing -= cut is loaded.cut  # else it was cut, and is counted no more
            gauge.dec()
            if loaded.retired is not None and not loaded.active:
                self._wake.set()

    def names(self) -> list[str]:
        """The models that may be asked for: the name for whatever is live, and what answers by its own name."""
        current, canary = self._current(), self._canary()
        if current is None:
            return []
        return [self._config.model_name, current.ref, *([canary.ref] if canary and canary is not current else [])]

    @property
    def ready(self) -> bool:
        """Whether something answers."""
        return self._current() is not None

    async def run(self) -> None:
        """Load and unload until cancelled; then give everything back."""
        try:
            while True:
                self._wake.clear()
                pause = await self._settle()
                with suppress(TimeoutError):
                    # Unlike Python 3.11's `wait_for`, this never loses a cancellation that meets the waking.
                    async with asyncio.timeout(pause):
                        await self._wake.wait()
        finally:
            for loaded in list(self._loaded.values()):
                await self._unload(loaded)

    def _pick(self, model: str) -> Loaded:
        current, canary = self._current(), self._canary()
        if current is None:
            raise unavailable(self._why_not())
        if model == self._config.model_name:
            return canary if canary and self._rng.random() < self._config.canary_share else current
        for loaded in (current, canary):
            if loaded and loaded.ref == model:
                return loaded
        raise GatewayError(404, "model_not_found", f"{model} is not served. Served are {', '.join(self.names())}.")

    def _current(self) -> Loaded | None:
        """What answers: the live release, or for a limited time a good one before it while the live one is loading."""
        live = self._permit.live
        if live is None:
            return None
        found = self._loaded.get(live)
        if found is None and self._monotonic() - self._awaited < self._config.load_seconds:
            before = (self._answering, *reversed(self._permit.releases))
            found = next(
                (self._loaded[ref] for ref in before if ref in self._permit.good and ref in self._loaded), None
            )
        if found:
            self._answering = found.ref
        return found

    def _canary(self) -> Loaded | None:
        ref = self._config.canary
        return self._loaded.get(ref) if ref is not None and ref in self._permit.good else None

    def _why_not(self) -> str:
        if self._permit.live is None:
            return "No release may answer now."
        return "The live release is being loaded or could not be; nothing else may answer."

    async def _settle(self) -> float | None:
        """Bring memory in line with the permit; returns after how many seconds to look again, if at all."""
        while True:
            await self._retire()
            missing = [ref for ref in self._wanted() if ref not in self._loaded]
            now = self._monotonic()
            due = next((ref for ref in missing if self._retry.get(ref, (0.0, now))[1] <= now), None)
            if due is None:
                draining = any(loaded.retired is not None for loaded in self._loaded.values())
                return _FIRST_RETRY_SECONDS if missing or draining else None
            await self._bring(due)

    def _wanted(self) -> list[str]:
        """What is to be in memory, the most urgent first."""
        permit = self._permit
        canary = self._config.canary if self._config.canary in permit.good else None
        first = [ref for ref in (permit.live, canary) if ref is not None]
        warm = [ref for ref in self._warm() if ref in self._loaded or self._has_room()]
        resting = [ref for ref in permit.resting if ref in self._loaded]
        return list(dict.fromkeys([*first, *warm, *resting]))

    def _warm(self) -> list[str]:
        """Earlier releases to be kept at hand, the latest first."""
        passed_over = {*self._spared, self._config.canary}
        earlier = [ref for ref in reversed(self._permit.releases[:-1]) if ref not in passed_over]
        return earlier[: self._config.keep_warm]

    def _has_room(self) -> bool:
        free = available_bytes()
        return free is None or free >= self._config.min_free_bytes

    async def _retire(self) -> None:
        """Unload what is neither wanted nor answering, and cut what has had its time."""
        now = self._monotonic()
        current, wanted = self._current(), self._wanted()
        for loaded in list(self._loaded.values()):
            if loaded.ref in self._warm() and loaded is not current and not self._has_room():
                self._spared.add(loaded.ref)  # until the permit changes, or it would come and go
                wanted.remove(loaded.ref)
            if loaded.ref in wanted or loaded is current:
                loaded.retired = None
                continue
            loaded.retired = now if loaded.retired is None else loaded.retired
            if not loaded.active:
                await self._unload(loaded)
            elif now - loaded.retired >= self._config.drain_seconds:
                loaded.stop(GatewayError(503, "release_replaced", "The release that was answering has been replaced."))

    async def _bring(self, ref: str) -> None:
        began = self._monotonic()
        log.info("load %s", ref)
        try:
            backend = await self._load(ref)
        except SpiceError as error:
            pause = min(2 * self._retry.get(ref, (_FIRST_RETRY_SECONDS / 2, 0.0))[0], _LAST_RETRY_SECONDS)
            self._retry[ref] = (pause, self._monotonic() + pause)
            self._metrics.loads.labels("refused").inc()
            log.error("%s is not served: %s", ref, error)  # noqa: TRY400 - a refusal, told in its own words
            return
        self._retry.pop(ref, None)
        self._loaded[ref] = Loaded(ref, backend)
        self._metrics.loads.labels("loaded").inc()
        log.info("loaded %s in %.1f s", ref, self._monotonic() - began)

    async def _unload(self, loaded: Loaded) -> None:
        del self._loaded[loaded.ref]
        log.info("unload %s", loaded.ref)
        await loaded.backend.close()
