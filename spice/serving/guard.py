"""Ends the answering of a request the moment that it must end: revoked, out of time, or nobody listens any more."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.types import Receive

from spice.serving.errors import GatewayError, too_slow

T = TypeVar("T")


class ClientGoneError(Exception):
    """The client closed the connection, so nobody needs the answer."""


class Guard:
    """Lets steps of one request run, each only until the request must end.

    Args:
        cut: is given a reason when the release must stop.
        receive: of the connection, after the body was read; tells when the client is gone.
        seconds: longest time for all steps together.
    """

    def __init__(self, cut: asyncio.Future[GatewayError], receive: Receive, seconds: float) -> None:
        self._cut = cut
        self._gone = asyncio.create_task(_disconnected(receive))
        self._seconds = seconds
        self._end = asyncio.get_running_loop().time() + seconds

    async def run(self, step: Coroutine[Any, Any, T]) -> T:
        """The result of `step`, or, as soon as the request must end, its cancellation.

        Raises:
            GatewayError: the release was revoked, or the time is over.
            ClientGoneError: nobody listens.
        """
        task = asyncio.ensure_future(step)
        try:
            left = max(0.0, self._end - asyncio.get_running_loop().time())
            watched: set[asyncio.Future[Any]] = {task, self._cut, self._gone}
            await asyncio.wait(watched, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            # First of all: what a revoked release said in the same moment is not passed on.
            if self._cut.done():
                raise self._cut.result()
            if task.done():
                return task.result()
            if self._gone.done():
                raise ClientGoneError
            raise too_slow(self._seconds)
        finally:
            task.cancel()
            await asyncio.wait({task})
            if not task.cancelled():
                task.exception()  # looked at, or asyncio would complain that nobody did

    def close(self) -> None:
        """Stop listening for the client's leaving."""
        self._gone.cancel()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
