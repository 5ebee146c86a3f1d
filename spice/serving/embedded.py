"""A release that is computed in this process, by the embedded transformers engine."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from jinja2.exceptions import TemplateError

from spice.config import ServingConfig
from spice.selfplay.prompts import render
from spice.serving.detokenise import TextStream
from spice.serving.errors import bad_request
from spice.serving.requests import ChatRequest, Message, Request, TextRequest
from spice.serving.worker import Worker

if TYPE_CHECKING:
    from spice.rollout.continuous import ContinuousBatch, Sequence

# What some clients send although it asks for nothing; so does every null, zero, false or empty value.
_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "best_of": (1,),
    "response_format": ({"type": "text"},),
    "tool_choice": ("none", "auto"),
    "service_tier": ("auto", "default"),
}


class EmbeddedBackend:
    """One release in memory.

    Args:
        ref: the release.
        batch: its engine; used by nobody else from here on.
        config: the longest answer, and how many are decoded together.
        clock: seconds since the epoch, for the answers' `created`.
    """

    def __init__(self, ref: str, batch: ContinuousBatch, config: ServingConfig, clock: Callable[[], float]) -> None:
        self._ref = ref
        self._tokenizer = batch.tokenizer
        self._context = batch.context
        self._worker = Worker(batch, config.batch_sequences)
        self._longest = config.max_tokens
        self._clock = clock

    async def answer(
        self,
        request: Request,
        body: dict[str, Any],  # noqa: ARG002 - part of the door
    ) -> dict[str, Any]:
        """The whole answer; see `Backend`."""
        texts = [""] * request.choices
        finishes: list[str | None] = [None] * request.choices
        last: dict[str, Any] = {}
        async with aclosing(self._pieces(request)) as pieces:
            async for last in pieces:
                for choice in last["choices"]:
                    texts[choice["index"]] += choice["delta"]["content"] if "delta" in choice else choice["text"]
                    finishes[choice["index"]] = choice["finish_reason"]
        chat = isinstance(request, ChatRequest)
        choices = [
            {
                "index": index,
                **({"message": {"role": "assistant", "content": text}} if chat else {"text": text}),
                "logprobs": None,
                "finish_reason": finish,
            }
            for index, (text, finish) in enumerate(zip(texts, finishes, strict=True))
        ]
        return {**last, "object": "chat.completion" if chat else "text_completion", "choices": choices}

    async def stream(
        self,
        request: Request,
        body: dict[str, Any],  # noqa: ARG002 - part of the door
    ) -> AsyncGenerator[dict[str, Any], None]:
        """The answer in pieces; see `Backend`."""
        async with aclosing(self._pieces(request)) as pieces:
            async for piece in pieces:
                yield piece

    async def close(self) -> None:
        """End the engine's thread; the memory goes with the last reference."""
        await self._worker.close()

    async def _pieces(self, request: Request) -> AsyncGenerator[dict[str, Any], None]:
        """Every piece of every choice as it comes; the last one has no choices but says how many tokens there were."""
        _refuse_unknown(request)
        # Tokenising a long prompt would hold up everybody's streams.
        sequences = await asyncio.to_thread(self._sequences, request)
        chat = isinstance(request, ChatRequest)
        head = {
            "id": f"{'chatcmpl' if chat else 'cmpl'}-{uuid.uuid4().hex}",
            "object": "chat.completion.chunk" if chat else "text_completion",
            "created": int(self._clock()),
            "model": self._ref,
        }
        texts = [TextStream(self._decode, request.stops) for _ in sequences]
        for index in range(len(sequences)) if chat else ():
            yield {**head, "choices": [_delta(index, {"role": "assistant", "content": ""}, None)]}
        written = 0
        with self._worker.read(sequences) as reading:
            async for index, token, ended in reading:
                text = texts[index]
                if text.stopped:
                    continue
                written += 1
                piece = text.push(token) + (text.end() if ended else "")
                if text.stopped:
                    reading.drop(index)
                finish = "stop" if text.stopped else ended
                if piece or finish:
                    choice = _delta(index, {"content": piece}, finish) if chat else _text(index, piece, finish)
                    yield {**head, "choices": [choice]}
        read = sum(len(sequence.prompt) for sequence in sequences[:: request.n])
        usage = {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}
        yield {**head, "choices": [], "usage": usage}

    def _sequences(self, request: Request) -> list[Sequence]:
        """One sequence per choice: `n` of the first prompt, then `n` of the second, and so on."""
        from spice.rollout.continuous import Sequence

        prompts = self._chat(request.messages) if isinstance(request, ChatRequest) else self._texts(request)
        found = []
        for prompt in prompts:
            room = self._context - len(prompt)
            if not prompt or room < (request.tokens or 1):
                raise bad_request(
                    f"The prompt has {len(prompt)} tokens; with the answer it may have 1 to {self._context}. "
                    "Shorten the prompt or ask for fewer tokens."
                )
            for number in range(request.n):
                found.append(
                    Sequence(
                        prompt,
                        min(request.tokens or self._longest, room),
                        request.temperature,
                        request.top_p,
                        None if request.seed is None else abs(request.seed) + number,
                        request.ignore_eos,
                    )
                )
        return found

    def _chat(self, messages: list[Message]) -> list[tuple[int, ...]]:
        turns = [{"role": message.role, "content": _plain(message)} for message in messages]
        try:
            return [render(self._tokenizer, turns)]
        except TemplateError as error:
            raise bad_request(f"messages: the model's chat template does not take them: {error}.") from error

    def _texts(self, request: TextRequest) -> list[tuple[int, ...]]:
        vocabulary = len(self._tokenizer)
        found = []
        for prompt in request.prompts:
            tokens = self._tokenizer.encode(prompt, add_special_tokens=False) if isinstance(prompt, str) else prompt
            if not all(0 <= token < vocabulary for token in tokens):
                raise bad_request(f"prompt: token ids go from 0 to {vocabulary - 1}.")
            found.append(tuple(tokens))
        return found

    def _decode(self, tokens: Any) -> str:
        return str(self._tokenizer.decode(tokens, skip_special_tokens=True))


def _refuse_unknown(request: Request) -> None:
    given = {**(request.model_extra or {}), "echo": isinstance(request, TextRequest) and request.echo}
    unknown = sorted(name for name, value in given.items() if value and value not in _NEUTRAL.get(name, ()))
    if unknown:
        raise bad_request(f"{', '.join(unknown)}: the embedded engine does not do this. Leave it out.")


def _plain(message: Message) -> str:
    parts = message.content or ""
    if isinstance(parts, str):
        return parts
    if other := {part.type for part in parts if part.type != "text"}:
        raise bad_request(f"messages: parts of type {', '.join(sorted(other))} are not understood; send text.")
    return "".join(part.text or "" for part in parts)


def _delta(index: int, delta: dict[str, str], finish: str | None) -> dict[str, Any]:
    return {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}


def _text(index: int, text: str, finish: str | None) -> dict[str, Any]:
    return {"index": index, "text": text, "logprobs": None, "finish_reason": finish}
