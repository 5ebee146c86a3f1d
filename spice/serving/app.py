"""The gateway as an ASGI application.

    GET  /healthz               the process is alive
    GET  /readyz                something may answer and is loaded
    GET  /metrics               scope metrics, or open if `serving.public_metrics`
    GET  /v1/models             scope models
    POST /v1/chat/completions   scope generate
    POST /v1/completions        scope generate

Every answer of a release names it in the header `x-spice-release`.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Literal

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from spice.config import Config
from spice.serving.admission import Admission
from spice.serving.apikeys import Scope, check
from spice.serving.errors import GatewayError
from spice.serving.events import EventStream, first_piece
from spice.serving.fleet import Fleet
from spice.serving.follow import Follower
from spice.serving.guard import ClientGoneError, Guard
from spice.serving.loading import open_release
from spice.serving.metrics import Metrics, short
from spice.serving.permit import Permit
from spice.serving.requests import parse
from spice.serving.traffic import Traffic
from spice.store.base import ObjectStore
from spice.trust.ledger import Clock

log = logging.getLogger(__name__)

HEADER = "x-spice-release"
_NO_STORE = {"cache-control": "no-store"}


def utc_now() -> datetime:
    """The clock of the gateway."""
    return datetime.now(UTC)


def build(
    store: ObjectStore,
    config: Config,
    *,
    rng: random.Random,
    clock: Clock = utc_now,
    monotonic: Callable[[], float] = time.monotonic,
) -> Starlette:
    """The application. It begins to follow the store when the server starts it, and gives all back when it stops.

    Args:
        store: ledger, switch, checkpoints and API keys.
        config: `serving` above all.
        rng: chooses who gets the canary, and which questions are sketched.
        clock: the present.
        monotonic: seconds, for ages and limits.
    """
    gateway = Gateway(store, config, rng, clock, monotonic)
    routes = [
        Route("/healthz", gateway.health),
        Route("/readyz", gateway.ready),
        Route("/metrics", gateway.show_metrics),
        Route("/v1/models", gateway.models),
        Route("/v1/chat/completions", gateway.chat, methods=["POST"]),
        Route("/v1/completions", gateway.text, methods=["POST"]),
    ]
    return Starlette(
        routes=routes,
        lifespan=gateway.lifespan,
        exception_handlers={GatewayError: _error, HTTPException: _http_error},
    )


class Gateway:
    """The routes and what they share."""

    def __init__(
        self,
        store: ObjectStore,
        config: Config,
        rng: random.Random,
        clock: Clock,
        monotonic: Callable[[], float],
    ) -> None:
        self._config = config.serving
        self._clock = clock
        self._monotonic = monotonic
        self._metrics = Metrics()
        self._admission = Admission(self._config, self._metrics)
        self._fleet = Fleet(
            self._config,
            lambda ref: open_release(ref, store, config, lambda: clock().timestamp()),
            self._metrics,
            rng,
            monotonic,
        )
        self._follower = Follower(store, self._config, self._fleet.permit, clock, monotonic)
        self._traffic = Traffic(store, self._config, rng, clock)
        self._metrics.store_age.set_function(lambda: self._follower.age)
        self._broken = False

    @asynccontextmanager
    async def lifespan(self, app: ASGIApp) -> AsyncIterator[None]:  # noqa: ARG002 - Starlette's signature
        """Follow the store while the server runs."""
        tasks = [asyncio.create_task(run()) for run in (self._follower.run, self._fleet.run, self._traffic.run)]
        for task in tasks:
            task.add_done_callback(self._ended)
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def health(self, request: Request) -> Response:  # noqa: ARG002 - Starlette's signature, as below
        """Whether this process is alive; a broken one is to be started again."""
        return PlainTextResponse("broken" if self._broken else "alive", 503 if self._broken else 200, _NO_STORE)

    async def ready(self, request: Request) -> Response:  # noqa: ARG002
        """Whether requests would be answered now."""
        ready = self._fleet.ready and not self._follower.blind
        return PlainTextResponse("ready" if ready else "not ready", 200 if ready else 503, _NO_STORE)

    async def show_metrics(self, request: Request) -> Response:
        """The metrics."""
        if not self._config.public_metrics:
            self._authorise(request, "metrics")
        return Response(self._metrics.text(), media_type=CONTENT_TYPE_LATEST)

    async def models(self, request: Request) -> Response:
        """What may be asked for."""
        self._authorise(request, "models")
        models = [{"id": name, "object": "model", "created": 0, "owned_by": "spice"} for name in self._fleet.names()]
        return JSONResponse({"object": "list", "data": models}, headers=_NO_STORE)

    async def chat(self, request: Request) -> ASGIApp:
        """A conversation to be continued."""
        return await self._complete(request, "chat")

    async def text(self, request: Request) -> ASGIApp:
        """A text to be continued."""
        return await self._complete(request, "text")

    async def _complete(self, request: Request, kind: Literal["chat", "text"]) -> ASGIApp:
        record = Record(self._metrics, kind, self._monotonic)
        try:
            record.key = self._authorise(request, "generate")
            wanted, body = parse(kind, await self._body(request), self._config)
            async with AsyncExitStack() as held:
                await held.enter_async_context(self._admission.turn())
                loaded = held.enter_context(self._fleet.answering(wanted.model))
                record.release = loaded.ref
                self._traffic.note(loaded.ref, wanted)
                guard = Guard(loaded.cut, request.receive, self._config.request_seconds)
                held.callback(guard.close)
                headers = {HEADER: loaded.ref.rpartition("/")[2], **_NO_STORE}
                if not wanted.stream:
                    answer = await guard.run(loaded.backend.answer(wanted, body))
                    record.end(200, answer)
                    return JSONResponse(answer, headers=headers)
                pieces = await held.enter_async_context(aclosing(loaded.backend.stream(wanted, body)))
                # What goes wrong before the first piece still gets a status of its own.
                first = await guard.run(first_piece(pieces))
                record.first()
                return EventStream(first, pieces, guard, wanted.with_usage, held.pop_all(), headers, record.end)
        except GatewayError as error:
            record.end(error.status, {})
            if record.release:
                error.headers = {**error.headers, HEADER: record.release.rpartition("/")[2]}
            raise
        except ClientGoneError:
            record.end(499, {})
            return Response(status_code=499)

    async def _body(self, request: Request) -> bytes:
        limit = self._config.max_request_bytes
        too_large = GatewayError(413, "too_large", f"The body is larger than {limit} bytes.", {"connection": "close"})
        declared = request.headers.get("content-length", "0")
        if declared.isdecimal() and int(declared) > limit:
            raise too_large
        data = bytearray()
        try:
            async with asyncio.timeout(self._config.body_seconds):
                async for chunk in request.stream():
                    data += chunk
                    if len(data) > limit:
                        raise too_large
        except TimeoutError as error:
            raise GatewayError(
                408, "body_timeout", f"The body did not come within {self._config.body_seconds:g} s."
            ) from error
        except ClientDisconnect as error:
            raise ClientGoneError from error
        return bytes(data)

    def _authorise(self, request: Request, scope: Scope) -> str:
        """Whose key this is. Raises `GatewayError`."""
        if not self._config.require_keys:
            return "anyone"
        return check(self._follower.keys, request.headers.get("authorization", ""), scope, self._clock).id

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A loop that ended by itself follows nothing any more, so nothing may be served."""
        if not task.cancelled():
            log.critical("the gateway stops answering, because a part of it failed", exc_info=task.exception())
            self._broken = True
            self._fleet.permit(Permit())


class Record:
    """What metrics and log are told of one request."""

    def __init__(self, metrics: Metrics, route: str, monotonic: Callable[[], float]) -> None:
        self.key = ""
        self.release: str | None = None
        self._metrics = metrics
        self._route = route
        self._monotonic = monotonic
        self._began = monotonic()

    def first(self) -> None:
        """The first piece is there."""
        self._metrics.first_seconds.labels(short(self.release)).observe(self._monotonic() - self._began)

    def end(self, status: int, answer: dict[str, Any]) -> None:
        """It ended so; the last piece of the answer may say how many tokens there were."""
        release, seconds = short(self.release), self._monotonic() - self._began
        self._metrics.requests.labels(self._route, release, str(status)).inc()
        if self.release:
            self._metrics.seconds.labels(self._route, release).observe(seconds)
        usage = answer.get("usage") or {}
        for direction, name in (("read", "prompt_tokens"), ("written", "completion_tokens")):
            self._metrics.tokens.labels(release, direction).inc(int(usage.get(name, 0)))
        log.info("%s key=%s release=%s status=%d seconds=%.3f", self._route, self.key, release, status, seconds)


async def _error(request: Request, error: Exception) -> Response:  # noqa: ARG001 - Starlette's signature, as below
    assert isinstance(error, GatewayError)
    return JSONResponse(error.body, error.status, {**_NO_STORE, **error.headers})


async def _http_error(request: Request, error: Exception) -> Response:
    """No such route, or not this method."""
    assert isinstance(error, HTTPException)
    refused = GatewayError(error.status_code, "no_route", f"{request.method} {request.url.path}: {error.detail}.")
    return JSONResponse(refused.body, error.status_code, {**_NO_STORE, **(error.headers or {})})
