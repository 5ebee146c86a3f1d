"""A drill: engage on running gateways, and measure until the last byte of the live release.

Clients of the drill are ordinary ones. They hold streams open and keep asking;
what is measured is what they see, from before the flag is written until the
last piece of an answer of the release arrives.
"""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from spice.errors import RefusedError, SpiceError

_PROBE_PAUSE_SECONDS = 0.02
_START_SECONDS = 120.0  # for all streams to have begun, and for the release to be back


@dataclass(frozen=True)
class Trial:
    """What one engagement showed; seconds from before the flag is written.

    Attributes:
        streams: streams of the release that were under way.
        told: how many of them ended with an error event that says why.
        cut: until the last piece of any of these streams arrived.
        refused: until the last new request was answered by the release.
        restored: from before the flag is cleared until the release answers again.
    """

    streams: int
    told: int
    cut: float
    refused: float
    restored: float

    @property
    def seconds(self) -> float:
        """Until the last byte of the release, in streams and new answers."""
        return max(self.cut, self.refused)


@dataclass
class _Stream:
    """One stream as its client sees it; times are those of `time.monotonic`.

    `begun` says that it is under way: its first piece is there, and it has not come to an end of its own.
    """

    release: str = ""
    last: float = -math.inf
    begun: bool = False
    error: str = ""


@dataclass
class _Probes:
    """Answers to new requests: when each came, and from which release, or "" if refused."""

    seen: list[tuple[float, str]] = field(default_factory=list)


class Exercise:
    """Clients of a gateway.

    Args:
        client: speaks to the gateway; its headers hold the API key.
        model: the model name that stands for whatever is live.
        digest: of the live release, as in the header `x-spice-release`.
        limit: give up when the release still answers so many seconds after the engagement.
    """

    def __init__(self, client: httpx.AsyncClient, model: str, digest: str, limit: float) -> None:
        self._client = client
        self._model = model
        self._digest = digest
        self._limit = limit

    async def trial(
        self, streams: int, begin: Callable[[], object], end: Callable[[], object], back: str | None = None
    ) -> Trial:
        """Hold streams open, engage, measure, and end it again.

        Args:
            streams: how many.
            begin: sets the flag.
            end: clears it.
            back: digest of the release that answers then; the same as before if `None`.

        Raises:
            RefusedError: the drill failed: the release still answered after the limit. The flag is cleared even so.
            SpiceError: the streams could not be begun.
        """
        opened = [_Stream() for _ in range(streams)]
        probes = _Probes()
        engaged = asyncio.Event()
        readers = [asyncio.create_task(self._hold(stream, engaged)) for stream in opened]
        prober = asyncio.create_task(self._probe(probes))
        try:
            await self._all_begun(opened, readers)
            began = time.monotonic()
            engaged.set()
            await asyncio.to_thread(begin)
            try:
                ours = [(s, r) for s, r in zip(opened, readers, strict=True) if s.release == self._digest]
                await self._all_stopped([reader for _, reader in ours], probes, began)
                cut = [stream for stream, _ in ours]
                refused = max((at for at, release in probes.seen if release == self._digest), default=began)
                streamed = max((stream.last for stream in cut), default=began)
            finally:
                ended = time.monotonic()
                await asyncio.to_thread(end)
            await self._restored(probes, ended, back or self._digest)
            return Trial(
                streams=len(cut),
                told=sum(stream.error == "release_revoked" for stream in cut),
                cut=max(0.0, streamed - began),
                refused=max(0.0, refused - began),
                restored=time.monotonic() - ended,
            )
        finally:
            for task in (*readers, prober):
                task.cancel()
            await asyncio.gather(*readers, prober, return_exceptions=True)

    async def _hold(self, stream: _Stream, engaged: asyncio.Event) -> None:
        """Keep a stream open: one that ends before the engagement would show nothing, and is begun again."""
        while True:
            await self._read(stream)
            if engaged.is_set():
                return
            stream.begun = False

    async def _read(self, stream: _Stream) -> None:
        body = {**self._body(), "stream": True, "ignore_eos": True}
        async with self._client.stream("POST", "v1/completions", json=body) as response:
            if response.status_code != 200:
                await response.aread()
                raise SpiceError(f"A stream of the drill was refused ({response.status_code}): {response.text}")
            stream.release = response.headers.get("x-spice-release", "")
            async for line in response.aiter_lines():
                if not line.startswith("data: {"):
                    continue
                event = json.loads(line.removeprefix("data: "))
                if "error" in event:
                    stream.error = str(event["error"].get("code"))
                else:
                    stream.begun, stream.last = True, time.monotonic()

    async def _probe(self, probes: _Probes) -> None:
        """Ask for one token again and again."""
        while True:
            try:
                response = await self._client.post("v1/completions", json={**self._body(), "max_tokens": 1})
                release = response.headers.get("x-spice-release", "") if response.status_code == 200 else ""
            except httpx.HTTPError:
                release = ""
            probes.seen.append((time.monotonic(), release))
            await asyncio.sleep(_PROBE_PAUSE_SECONDS)

    async def _all_begun(self, opened: Sequence[_Stream], readers: Sequence[asyncio.Task[None]]) -> None:
        async def begun() -> None:
            while not all(stream.begun for stream in opened):
                for reader in readers:
                    if reader.done() and (error := reader.exception()):
                        raise SpiceError(f"The streams of the drill could not be begun: {error}") from error
                await asyncio.sleep(_PROBE_PAUSE_SECONDS)

        try:
            await asyncio.wait_for(begun(), _START_SECONDS)
        except TimeoutError as error:
            raise SpiceError(f"The streams of the drill had not all begun after {_START_SECONDS:g} s.") from error

    async def _all_stopped(self, readers: Sequence[asyncio.Task[None]], probes: _Probes, began: float) -> None:
        """Until no stream of the release is left and the probes that were sent after that show others, or none."""
        while time.monotonic() - began < self._limit:
            latest = [release for at, release in probes.seen if at > began][-2:]
            if all(reader.done() for reader in readers) and len(latest) == 2 and self._digest not in latest:
                return
            await asyncio.sleep(_PROBE_PAUSE_SECONDS)
        raise RefusedError(
            f"The drill failed: {self._limit:g} s after the engagement the gateway still answers from {self._digest}. "
            "Stop its process, and see whether it reads the same store."
        )

    async def _restored(self, probes: _Probes, ended: float, digest: str) -> None:
        while not any(at > ended and release == digest for at, release in probes.seen[-2:]):
            if time.monotonic() - ended > _START_SECONDS:
                raise SpiceError(f"The drill is over, but {digest} does not answer. See the gateway's log.")
            await asyncio.sleep(_PROBE_PAUSE_SECONDS)

    def _body(self) -> dict[str, Any]:
        return {"model": self._model, "prompt": "The drill asks:", "temperature": 1.0}


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest of `values` that is not below `share` of them (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
