"""A streamed answer: server-sent events, ended with an error event if the release is revoked meanwhile."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack
from typing import Any

from starlette.types import Receive, Scope, Send

from spice.serving.errors import GatewayError
from spice.serving.guard import ClientGoneError, Guard

_LAST_WORD_SECONDS = 0.2  # for the error event; a client that does not read it is left alone with a closed connection
_DONE = b"data: [DONE]\n\n"


async def first_piece(pieces: AsyncGenerator[dict[str, Any], None]) -> dict[str, Any]:
    """The first piece. Raises `GatewayError` if there is none."""
    first = await _next(pieces)
    if first is None:
        raise GatewayError(502, "empty_answer", "The model answered nothing. Send the request again.")
    return first


class EventStream:
    """The response to a request with `stream`, as an ASGI application.

    Args:
        first: the first piece, which has come already.
        rest: the pieces after it; the last one, with the usage alone, is sent if it was asked for.
        guard: ends it.
        with_usage: whether that was asked for.
        held: what is held while it lasts, and closed at its end.
        headers: of the response.
        finish: is told the status and the last piece at the end, for metrics and log.
    """

    def __init__(
        self,
        first: dict[str, Any],
        rest: AsyncGenerator[dict[str, Any], None],
        guard: Guard,
        with_usage: bool,
        held: AsyncExitStack,
        headers: dict[str, str],
        finish: Callable[[int, dict[str, Any]], None],
    ) -> None:
        self._first = first
        self._rest = rest
        self._guard = guard
        self._with_usage = with_usage
        self._held = held
        self._headers = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-store", **headers}
        self._finish = finish

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - the ASGI signature
        """Send it."""
        status, last = 200, self._first
        async with self._held:
            try:
                await self._guard.run(_start(send, self._headers))
                piece: dict[str, Any] | None = self._first
                while piece is not None:
                    last = piece
                    if piece["choices"] or self._with_usage:
                        # Sending is guarded, too: a client that reads slowly must not hold a revoked release.
                        await self._guard.run(_send(send, _event(piece), more=True))
                    piece = await self._guard.run(_next(self._rest))
                await self._guard.run(_send(send, _DONE, more=False))
            except GatewayError as error:
                status = error.status
                await _last_word(send, _event(error.body))
            except ClientGoneError:
                status = 499
            finally:
                self._finish(status, last)


async def _start(send: Send, headers: dict[str, str]) -> None:
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": 200, "headers": raw})


async def _send(send: Send, data: bytes, *, more: bool) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": more})


async def _next(pieces: AsyncGenerator[dict[str, Any], None]) -> dict[str, Any] | None:
    return await anext(pieces, None)


async def _last_word(send: Send, data: bytes) -> None:
    """Without `[DONE]` after it, so that no client takes the answer for a whole one."""
    try:
        async with asyncio.timeout(_LAST_WORD_SECONDS):
            await _send(send, data, more=False)
    except TimeoutError:
        return


def _event(obj: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(obj, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"
