"""Talk to a vLLM server, and believe only what has the right form."""

from __future__ import annotations

import json
from typing import Any, Literal, TypeVar

import urllib3
from pydantic import BaseModel, ValidationError

from spice.errors import ModelError

M = TypeVar("M", bound=BaseModel)


class Logprobs(BaseModel):
    """Log-probabilities of the tokens that were drawn, in nats."""

    token_logprobs: list[float]


class Choice(BaseModel):
    """One continuation."""

    index: int
    token_ids: list[int]
    finish_reason: Literal["stop", "length"]
    logprobs: Logprobs


class Details(BaseModel):
    """More on the prompt's tokens."""

    cached_tokens: int | None = None


class Usage(BaseModel):
    """What a request cost."""

    prompt_tokens: int
    completion_tokens: int
    prompt_tokens_details: Details | None = None


class Answer(BaseModel):
    """What `/v1/completions` gives."""

    choices: list[Choice]
    usage: Usage


class Http:
    """A vLLM server at an address.

    Attributes:
        url: its address, without a path.
    """

    def __init__(self, url: str, connections: int, timeout_s: float = 3600.0) -> None:
        """Connect when something is asked.

        Args:
            url: such as http://127.0.0.1:8001.
            connections: most requests at once.
            timeout_s: longest wait for an answer, in seconds.
        """
        self.url = url.rstrip("/")
        # A request that was repeated after it had been answered would be generated twice, for nothing.
        self._pool = urllib3.PoolManager(
            maxsize=connections, timeout=urllib3.Timeout(connect=10.0, read=timeout_s), retries=False
        )

    def post(self, path: str, body: dict[str, Any] | None = None) -> bytes:
        """Post JSON. Raises `ModelError` unless the server says that it went well."""
        data = None if body is None else json.dumps(body).encode()
        try:
            response = self._pool.request(
                "POST", self.url + path, body=data, headers={"Content-Type": "application/json"}
            )
        except urllib3.exceptions.HTTPError as error:
            raise ModelError(f"The vLLM server at {self.url} does not answer ({error}). Is it running?") from error
        if response.status >= 300:
            raise ModelError(f"The vLLM server at {self.url} says {response.status} to {path}: {response.data[:500]!r}")
        return response.data

    def complete(self, body: dict[str, Any]) -> Answer:
        """Ask for continuations. Raises `ModelError`."""
        return _parsed(Answer, self.post("/v1/completions", body), self.url)


def _parsed(kind: type[M], data: bytes, url: str) -> M:
    try:
        return kind.model_validate_json(data)
    except ValidationError as error:
        raise ModelError(f"The vLLM server at {url} gave an answer that is none: {error}") from error
