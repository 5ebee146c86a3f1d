"""Whose turn it is: so many requests at once, so many waiting, and no longer than so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from spice.config import ServingConfig
from spice.serving.errors import too_busy
from spice.serving.metrics import Metrics


class Admission:
    """Lets requests in, in the order of their coming."""

    def __init__(self, config: ServingConfig, metrics: Metrics) -> None:
        self._turns = asyncio.Semaphore(config.max_concurrent)
        self._config = config
        self._metrics = metrics
        self._waiting = 0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn and hold it until the block is left.

        Raises:
            GatewayError: 429, too many wait already, or the turn did not come in time.
        """
        if self._turns.locked() and self._waiting >= self._config.max_queue:
            raise too_busy("Too many requests are waiting. Send the request again later.")
        self._waiting += 1
        self._metrics.waiting.inc()
        try:
            async with asyncio.timeout(self._config.queue_seconds):
                await self._turns.acquire()
        except TimeoutError as error:
            raise too_busy(
                f"No turn came within {self._config.queue_seconds:g} s. Send the request again later."
            ) from error
        finally:
            self._waiting -= 1
            self._metrics.waiting.dec()
        try:
            yield
        finally:
            self._turns.release()
