"""A release that another server computes: vLLM, or anything else that speaks the OpenAI API.

The server says which release it holds by the name of its model,
`checkpoints/<digest>`. Start it on files that `spice store fetch` has verified:

    spice store fetch checkpoints/DIGEST FOLDER
    vllm serve FOLDER --served-model-name checkpoints/DIGEST
"""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx

from spice.errors import ModelError
from spice.serving.errors import GatewayError
from spice.serving.requests import ChatRequest, Request

log = logging.getLogger(__name__)

KEY_VARIABLE = "SPICE_UPSTREAM_KEY"
_CONNECT_SECONDS = 5.0
_LONGEST_ANSWER = 64 * 2**20  # bytes


class UpstreamBackend:
    """One release on an upstream server.

    Args:
        ref: the release, and the server's name for it.
        client: connections to the server; closed with the backend.
    """

    def __init__(self, ref: str, client: httpx.AsyncClient) -> None:
        self._ref = ref
        self._client = client

    async def answer(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        """The whole answer; see `Backend`."""
        async with self._response(request, {**body, "stream": False}) as response:
            data = bytearray()
            async for chunk in response.aiter_bytes():
                data += chunk
                if len(data) > _LONGEST_ANSWER:
                    raise _broken("sent an answer without end")
        return self._checked(bytes(data))

    async def stream(self, request: Request, body: dict[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        """The answer in pieces; see `Backend`."""
        counted = {**body, "stream": True, "stream_options": {"include_usage": True}}
        async with self._response(request, counted) as response:
            async for line in response.aiter_lines():
                field, _, value = line.partition(":")
                if field != "data":
                    continue
                if value.strip() == "[DONE]":
                    return
                yield self._checked(value.encode())
        raise _broken("ended its answer early")

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    @asynccontextmanager
    async def _response(self, request: Request, body: dict[str, Any]) -> AsyncIterator[httpx.Response]:
        path = "chat/completions" if isinstance(request, ChatRequest) else "completions"
        try:
            async with self._client.stream("POST", path, json={**body, "model": self._ref}) as response:
                if response.status_code != 200:
                    raise _refused(response.status_code, await response.aread())
                yield response
        except httpx.HTTPError as error:
            log.warning("upstream %s: %r", self._client.base_url, error)
            raise _broken("broke the connection") from error

    def _checked(self, data: bytes) -> dict[str, Any]:
        """An object of the API that comes from this release: a server that was given another one is found out here."""
        try:
            found = json.loads(data)
        except ValueError as error:
            raise _broken("sent something that is not JSON") from error
        if not isinstance(found, dict) or "error" in found:
            raise _broken("reported an error")
        if found.get("model") != self._ref:
            raise _broken("answered as another model")
        return found


async def connect(ref: str, urls: Sequence[str], environ: Mapping[str, str]) -> UpstreamBackend:
    """The upstream server that holds the release `ref`.

    Args:
        ref: `checkpoints/<digest>`.
        urls: base URLs of all servers, with or without `/v1`.
        environ: holds the key for the servers, if they want one, as `SPICE_UPSTREAM_KEY`.

    Raises:
        ModelError: none of them holds it, now.
    """
    key = environ.get(KEY_VARIABLE)
    headers = {"authorization": f"Bearer {key}"} if key else {}
    seen = []
    for url in urls:
        client = httpx.AsyncClient(
            base_url=f"{url.rstrip('/').removesuffix('/v1')}/v1/",
            headers=headers,
            # How long an answer takes is limited by the gateway, for all back ends alike.
            timeout=httpx.Timeout(None, connect=_CONNECT_SECONDS),
            limits=httpx.Limits(max_connections=None),
            trust_env=False,
        )
        held = await _models(client)
        if ref in held:
            return UpstreamBackend(ref, client)
        await client.aclose()
        seen.append(f"{url} has {', '.join(held) or 'nothing'}")
    raise ModelError(
        f"No upstream server holds {ref} ({'; '.join(seen) or 'serving.upstreams is empty'}). `spice store fetch {ref} "
        f"FOLDER`, then `vllm serve FOLDER --served-model-name {ref}`."
    )


async def _models(client: httpx.AsyncClient) -> list[str]:
    try:
        response = await client.get("models", timeout=_CONNECT_SECONDS)
        return [str(model["id"]) for model in response.raise_for_status().json()["data"]]
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
        log.warning("upstream %s: %r", client.base_url, error)
        return []


def _refused(status: int, data: bytes) -> GatewayError:
    """What the server refused with, in its own words where the client is to blame."""
    if status not in (400, 404, 413, 422):
        return _broken(f"answered with status {status}")
    try:
        message = str(json.loads(data)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        message = "The model server refused the request."
    return GatewayError(400, "invalid_request", message)


def _broken(what: str) -> GatewayError:
    return GatewayError(502, "upstream_failed", f"The model server {what}. Send the request again.")
