"""What clients may ask: the two bodies of the OpenAI API, checked at the door."""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from spice.config import ServingConfig
from spice.serving.errors import bad_request

# Fields of an upstream server that make it load what a client sends (tensors), or choose other weights.
_FORBIDDEN = ("prompt_embeds", "lora_request", "lora_path", "kv_transfer_params")


class Part(BaseModel):
    """A piece of a message; only text is understood by the embedded engine."""

    model_config = ConfigDict(extra="allow", frozen=True)

    type: str
    text: str | None = None


class Message(BaseModel):
    """One turn of a conversation."""

    model_config = ConfigDict(extra="allow", frozen=True)

    role: str = Field(min_length=1, max_length=32)
    content: str | list[Part] | None = None


class Options(BaseModel):
    """What both kinds of request have in common. Fields not named here are passed on to an upstream server."""

    model_config = ConfigDict(extra="allow", frozen=True, allow_inf_nan=False)

    model: str = Field(min_length=1, max_length=256)
    stream: bool = False
    stream_options: dict[str, Any] | None = None
    max_tokens: int | None = Field(None, ge=1)
    temperature: float = Field(1.0, ge=0.0, le=2.0)
    top_p: float = Field(1.0, gt=0.0, le=1.0)
    n: int = Field(1, ge=1)
    stop: str | list[str] | None = None
    seed: int | None = None
    ignore_eos: bool = False
    user: str | None = Field(None, max_length=256)

    @property
    def stops(self) -> tuple[str, ...]:
        """The strings at which an answer ends."""
        given = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return tuple(text for text in given if text)

    @property
    def tokens(self) -> int | None:
        """The longest answer that was asked for."""
        return self.max_tokens

    @property
    def choices(self) -> int:
        """How many answers are asked for."""
        return self.n

    @property
    def with_usage(self) -> bool:
        """Whether a stream ends with the numbers of tokens."""
        return bool((self.stream_options or {}).get("include_usage"))


class ChatRequest(Options):
    """The body of `/v1/chat/completions`."""

    messages: list[Message] = Field(min_length=1)
    max_completion_tokens: int | None = Field(None, ge=1)

    @property
    def tokens(self) -> int | None:
        """The longest answer that was asked for, under either of its names."""
        return self.max_completion_tokens or self.max_tokens


class TextRequest(Options):
    """The body of `/v1/completions`."""

    prompt: str | list[int] | list[str] | list[list[int]]
    echo: bool = False

    @property
    def prompts(self) -> list[str | list[int]]:
        """The prompts one by one, as text or as token ids."""
        if isinstance(self.prompt, list) and self.prompt and not isinstance(self.prompt[0], int):
            return list(self.prompt)
        return [self.prompt]  # type: ignore[list-item]

    @property
    def choices(self) -> int:
        """Prompts times `n`."""
        return self.n * len(self.prompts)


Request = ChatRequest | TextRequest


def parse(kind: Literal["chat", "text"], data: bytes, config: ServingConfig) -> tuple[Request, dict[str, Any]]:
    """The request in a body, within the limits of `config`.

    Returns:
        The request, and the body as an upstream server gets it: with the longest answer filled in.

    Raises:
        GatewayError: 400, saying which field is wrong.
    """
    try:
        body = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise bad_request(f"The body is not JSON: {error}.") from error
    if not isinstance(body, dict):
        raise bad_request("The body is not a JSON object.")
    if refused := [name for name in _FORBIDDEN if name in body]:
        raise bad_request(f"{', '.join(refused)}: not allowed through this gateway.")
    try:
        # Clients write null for what they leave out.
        present = {name: value for name, value in body.items() if value is not None}
        request = (ChatRequest if kind == "chat" else TextRequest).model_validate(present)
    except ValidationError as error:
        first = error.errors()[0]
        raise bad_request(f"{'.'.join(map(str, first['loc'][:3]))}: {first['msg']}.") from error
    if request.choices > config.max_choices:
        raise bad_request(f"{request.choices} answers are asked for; at most {config.max_choices} are given at once.")
    if (request.tokens or 0) > config.max_tokens:
        raise bad_request(f"{request.tokens} tokens are asked for; at most {config.max_tokens} are given.")
    if len(request.stops) > 16:
        raise bad_request("stop: at most 16 strings.")
    # Spares a client that names no length the upstream server's own default, which may have no end.
    name = "max_completion_tokens" if "max_completion_tokens" in present else "max_tokens"
    return request, {**present, name: request.tokens or config.max_tokens}
