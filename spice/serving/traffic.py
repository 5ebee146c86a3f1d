"""Sketches of the questions that a gateway is asked, for drift checks: lengths and hashed trigrams, never text.

Off unless `serving.traffic_share` says otherwise. Sketches are collected per release and written every minute as JSON
lines below `traffic/<month>/<release>/`, in an order that says nothing of who asked when. They are for noticing change
only: a store that fails costs sketches and no request.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import defaultdict
from collections.abc import Iterator

from spice.config import ServingConfig
from spice.errors import StoreError
from spice.serving.metrics import short
from spice.serving.requests import ChatRequest, Part, Request
from spice.store.base import ObjectStore
from spice.text.sketch import Sketch, sketch
from spice.trust.ledger import Clock

log = logging.getLogger(__name__)

PREFIX = "traffic/"
_SECONDS = 60.0  # between two writings
_MOST_CHARACTERS = 20_000  # of one question; what comes after says little of its kind
_MOST_HELD = 10_000  # sketches of one release that wait to be written; more are not taken


class Traffic:
    """What this gateway was asked since it last wrote.

    Args:
        store: where sketches go.
        config: `traffic_share` is the share of requests that are sketched.
        rng: chooses them, and mixes their order.
        clock: dates the objects.
    """

    def __init__(self, store: ObjectStore, config: ServingConfig, rng: random.Random, clock: Clock) -> None:
        self._store = store
        self._share = config.traffic_share
        self._rng = rng
        self._clock = clock
        self._held: dict[str, list[Sketch]] = defaultdict(list)

    def note(self, release: str, request: Request) -> None:
        """Sketch the questions of a request to `release`, if its turn has come."""
        if self._rng.random() >= self._share:
            return
        held = self._held[release]
        held += [sketch(text[:_MOST_CHARACTERS]) for text in _questions(request)][: _MOST_HELD - len(held)]

    async def run(self) -> None:
        """Write every minute until cancelled, and once more then."""
        try:
            while True:
                await asyncio.sleep(_SECONDS)
                await asyncio.to_thread(self.write)
        finally:
            await asyncio.to_thread(self.write)

    def write(self) -> None:
        """Write what is held, an object per release. What the store does not take waits for the next time."""
        for release in list(self._held):
            sketches = self._held.pop(release)
            if not sketches:
                continue
            self._rng.shuffle(sketches)
            now = self._clock()
            name = f"{now:%Y%m%dT%H%M%SZ}-{self._rng.getrandbits(64):016x}"
            key = f"{PREFIX}{now:%Y-%m}/{short(release)}/{name}.jsonl"
            try:
                self._store.put(key, b"\n".join(one.model_dump_json().encode() for one in sketches) + b"\n")
            except StoreError as error:
                log.warning("sketches of %d questions wait: %s", len(sketches), error)
                self._held[release] = (sketches + self._held[release])[:_MOST_HELD]


def _questions(request: Request) -> Iterator[str]:
    """What was asked last, as far as it is text: the user's latest message, or each prompt."""
    if not isinstance(request, ChatRequest):
        yield from (prompt for prompt in request.prompts if isinstance(prompt, str) and prompt)
        return
    asked = next((message for message in reversed(request.messages) if message.role == "user"), None)
    content = asked.content if asked else None
    text = content if isinstance(content, str) else "\n".join(_texts(content or []))
    if text:
        yield text


def _texts(parts: list[Part]) -> Iterator[str]:
    return (part.text for part in parts if part.text)
