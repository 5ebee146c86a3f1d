"""A thread that keeps one batch running and hands each token over as soon as it is drawn."""

from __future__ import annotations

import asyncio
import itertools
import logging
import queue
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, TypeAlias

from spice.errors import SpiceError
from spice.serving.errors import GatewayError, bad_request

if TYPE_CHECKING:
    from spice.rollout.continuous import Finish
    from spice.rollout.continuous import Sequence as TokenSequence

log = logging.getLogger(__name__)

# What a reader is told of a sequence: a token and how it ended, if that was its last; or why there will be none.
News: TypeAlias = "tuple[int, Finish | None] | GatewayError"


class Batch(Protocol):
    """The part of `spice.rollout.continuous.ContinuousBatch` that runs on the thread."""

    def __len__(self) -> int:
        """How many sequences are under way."""
        ...

    def add(self, key: int, sequence: TokenSequence) -> tuple[int, Finish | None]:
        """Take in a sequence; returns its first token, and how it ended if that was its last."""
        ...

    def step(self) -> Sequence[tuple[int, int, Finish | None]]:
        """Draw a token for each; returns key, token, and how it ended if that was its last."""
        ...

    def drop(self, key: int) -> None:
        """Take a sequence out."""
        ...


class Reading:
    """The tokens of some sequences as they come, in whatever order: iterate over it until all have ended."""

    def __init__(self, keys: Sequence[int], drop: Callable[[int], None]) -> None:
        self.news: asyncio.Queue[tuple[int, News]] = asyncio.Queue()
        self._places = {key: place for place, key in enumerate(keys)}
        self._open = set(keys)
        self._drop = drop

    async def __aiter__(self) -> AsyncIterator[tuple[int, int, Finish | None]]:
        """Yields the place of a sequence, its next token, and how it ended if that was its last.

        Raises:
            GatewayError: a sequence does not fit, or computing failed.
        """
        while self._open:
            key, news = await self.news.get()
            if isinstance(news, GatewayError):
                raise news
            token, finish = news
            if finish is not None:
                self._open.discard(key)
            yield self._places[key], token, finish

    def drop(self, place: int) -> None:
        """Take out one sequence; tokens of it may still come."""
        for key in [key for key in self._open if self._places[key] == place]:
            self._open.discard(key)
            self._drop(key)

    def close(self) -> None:
        """Take out what has not ended."""
        for key in self._open:
            self._drop(key)


class Worker:
    """Runs a batch on a thread of its own, for readers in the event loop that makes it.

    Args:
        batch: used by nobody else from here on.
        limit: most sequences under way; more wait in the order of their coming.
    """

    def __init__(self, batch: Batch, limit: int) -> None:
        self._batch = batch
        self._limit = limit
        self._loop = asyncio.get_running_loop()
        self._keys = itertools.count()
        self._readers: dict[int, Reading] = {}  # touched by the event loop only
        self._orders: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._waiting: deque[tuple[int, TokenSequence]] = deque()  # from here on touched by the thread only
        self._under_way: set[int] = set()
        self._thread = threading.Thread(target=self._run, name="gateway-worker", daemon=True)
        self._thread.start()

    @contextmanager
    def read(self, sequences: Sequence[TokenSequence]) -> Iterator[Reading]:
        """Continue sequences; what has not ended when the block is left is dropped."""
        keys = [next(self._keys) for _ in sequences]
        reading = Reading(keys, lambda key: self._orders.put(lambda: self._drop(key)))
        self._readers.update(dict.fromkeys(keys, reading))
        self._orders.put(lambda: self._waiting.extend(zip(keys, sequences, strict=True)))
        try:
            yield reading
        finally:
            reading.close()
            for key in keys:
                del self._readers[key]

    async def close(self) -> None:
        """End the thread after the token that it is computing."""
        self._orders.put(None)
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        while self._obey():
            news = self._step()
            # One at a time, so that those under way wait for one prompt at most.
            if self._waiting and len(self._batch) < self._limit:
                news.append(self._begin(*self._waiting.popleft()))
            if news:
                self._loop.call_soon_threadsafe(self._deliver, news)

    def _obey(self) -> bool:
        """Follow the orders that have come, waiting for one if there is nothing else to do; false means end."""
        while True:
            idle = not len(self._batch) and not self._waiting
            try:
                order = self._orders.get(block=idle)
            except queue.Empty:
                return True
            if order is None:
                return False
            order()

    def _step(self) -> list[tuple[int, News]]:
        try:
            news: list[tuple[int, News]] = [(key, (token, finish)) for key, token, finish in self._batch.step()]
        except RuntimeError as error:  # what torch raises, also when memory runs out
            log.exception("The engine failed; what it was answering is lost")
            news = [(key, _failure(error)) for key in self._under_way]
            for key in self._under_way:
                self._batch.drop(key)
        self._under_way -= {key for key, each in news if isinstance(each, GatewayError) or each[1]}
        return news

    def _begin(self, key: int, sequence: TokenSequence) -> tuple[int, News]:
        try:
            token, finish = self._batch.add(key, sequence)
        except SpiceError as error:
            return key, bad_request(str(error))
        except RuntimeError as error:
            log.exception("The engine failed on a prompt of %d tokens", len(sequence.prompt))
            return key, _failure(error)
        if finish is None:
            self._under_way.add(key)
        return key, (token, finish)

    def _drop(self, key: int) -> None:
        self._waiting = deque(entry for entry in self._waiting if entry[0] != key)
        self._under_way.discard(key)
        self._batch.drop(key)

    def _deliver(self, news: list[tuple[int, News]]) -> None:
        for key, each in news:
            if reader := self._readers.get(key):
                reader.news.put_nowait((key, each))


def _failure(error: RuntimeError) -> GatewayError:
    first = str(error).partition("\n")[0]
    return GatewayError(500, "engine_failed", f"The engine failed: {first}. Send the request again, or a shorter one.")
