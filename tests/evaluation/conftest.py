from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pytest

from spice.rollout.base import Completion, Request


@dataclass(frozen=True)
class Segment:
    document_id: str
    text: str
    title: str = ""
    segment_id: str = ""


class ByteTokenizer:
    """One token a byte, none of them special; messages are joined by line breaks."""

    added_tokens_decoder: ClassVar[dict[int, Any]] = {}

    def apply_chat_template(
        self, conversation: Sequence[Mapping[str, str]], *, add_generation_prompt: bool, tokenize: bool
    ) -> str:
        assert add_generation_prompt
        assert not tokenize
        return "\n".join(f"{message['role']}: {message['content']}" for message in conversation)

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        return list(text.encode())


@dataclass
class ScriptedEngine:
    """Answers each prompt with what `answer` makes of its text, cut at max_tokens bytes; keeps the requests."""

    answer: Callable[[str], str]
    requests: list[Request] = field(default_factory=list)

    def generate(self, requests: Sequence[Request]) -> list[list[Completion]]:
        self.requests += requests
        return [[self._complete(request)] * request.n for request in requests]

    def update_weights(self, state: Mapping[str, Any]) -> None:
        raise AssertionError("evaluation changes no weights")

    def _complete(self, request: Request) -> Completion:
        tokens = tuple(self.answer(bytes(request.prompt).decode()).encode())
        kept = tokens[: request.max_tokens]
        zeros = np.zeros(len(kept), dtype=np.float32)
        finish = "stop" if kept == tokens else "length"
        return Completion(kept, zeros, zeros, bytes(kept).decode(errors="ignore"), finish)


CITIES = {
    "Algeria": ("Algiers", "Arabic"), "Brazil": ("Brasilia", "Portuguese"), "Canada": ("Ottawa", "English"),
    "Denmark": ("Copenhagen", "Danish"), "Egypt": ("Cairo", "Coptic"), "France": ("Paris", "French"),
    "Greece": ("Athens", "Greek"), "Hungary": ("Budapest", "Hungarian"), "Iceland": ("Reykjavik", "Icelandic"),
    "Japan": ("Tokyo", "Japanese"), "Kenya": ("Nairobi", "Swahili"), "Latvia": ("Riga", "Latvian"),
}  # fmt: skip


@pytest.fixture
def atlas() -> list[Segment]:
    """A dozen small documents of two segments each."""
    segments = []
    for number, (country, (capital, language)) in enumerate(CITIES.items()):
        first = f"# {country}\n\nThe capital of {country} is {capital}, a city of {500 + 37 * number},000 people."
        second = f"It became independent in {1900 + number}. Most people there speak {language} at home."
        segments += [
            Segment(country, first, country, f"{country}-0"),
            Segment(country, second, country, f"{country}-1"),
        ]
    return segments


@pytest.fixture
def tokenizer() -> ByteTokenizer:
    return ByteTokenizer()


@pytest.fixture
def scripted_engine() -> type[ScriptedEngine]:
    return ScriptedEngine


@pytest.fixture
def make_segment() -> type[Segment]:
    return Segment
