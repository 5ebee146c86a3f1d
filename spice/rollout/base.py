"""The door to text generation: what every engine must do."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, cast

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Grammar:
    """A constraint on decoding. `text` is a JSON schema, a regular expression or a Lark grammar, after `kind`."""

    kind: Literal["json_schema", "regex", "lark"]
    text: str


@dataclass(frozen=True)
class Request:
    """One prompt to be continued `n` times.

    Attributes:
        prompt: token ids, at least one.
        n: how many independent continuations.
        max_tokens: longest continuation, the end token included.
        temperature: 0 decodes greedily.
        grammar: what the continuation must match, if anything.
        seed: makes the continuations of this request repeatable, whatever else is in the batch.
    """

    prompt: tuple[int, ...]
    n: int = 1
    max_tokens: int = 64
    temperature: float = 0.0
    grammar: Grammar | None = None
    seed: int = 0


@dataclass(frozen=True)
class Completion:
    """One continuation.

    Attributes:
        tokens: token ids, the end token included when it was reached.
        logprobs: log-probability of each token under the distribution it was
            drawn from (temperature and grammar applied), in nats, shape [tokens].
        entropies: entropy of that distribution at each step, in nats, shape [tokens].
        text: the tokens decoded, special tokens left out.
        finish: "stop" if the end token was reached, "length" if cut off.
        allowed: where a grammar was in force, one row per token of packed bits
            (uint32, little end first) of the tokens it allowed, shape [tokens, ceil(vocabulary / 32)].
    """

    tokens: tuple[int, ...]
    logprobs: NDArray[np.float32]
    entropies: NDArray[np.float32]
    text: str
    finish: Literal["stop", "length"]
    allowed: NDArray[np.uint32] | None = None


@dataclass(frozen=True)
class Finished:
    """A continuation that has come to its end.

    Attributes:
        key: of its request.
        copy: which of the request's `n`, from 0.
        completion: what was written.
    """

    key: Hashable
    copy: int
    completion: Completion


@dataclass(frozen=True)
class EngineStats:
    """What an engine has done since it was opened. Differences of two of them tell of the time between.

    Attributes:
        seconds: spent generating.
        generated_tokens: tokens drawn, those of dropped continuations too.
        prompt_tokens: tokens of all prompts, each once for every copy.
        cached_tokens: those of them that were not computed, because an earlier copy or prompt had them.
    """

    seconds: float = 0.0
    generated_tokens: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0

    def __add__(self, other: EngineStats) -> EngineStats:
        return EngineStats(
            self.seconds + other.seconds,
            self.generated_tokens + other.generated_tokens,
            self.prompt_tokens + other.prompt_tokens,
            self.cached_tokens + other.cached_tokens,
        )

    def __sub__(self, before: EngineStats) -> EngineStats:
        return EngineStats(
            self.seconds - before.seconds,
            self.generated_tokens - before.generated_tokens,
            self.prompt_tokens - before.prompt_tokens,
            self.cached_tokens - before.cached_tokens,
        )

    @property
    def prefix_hit_share(self) -> float | None:
        """Share of the prompts' tokens that were found in a cache, in [0, 1]; `None` without prompts."""
        return self.cached_tokens / self.prompt_tokens if self.prompt_tokens else None

    @property
    def tokens_per_second(self) -> float | None:
        """Generated tokens by second of generating; `None` before the first."""
        return self.generated_tokens / self.seconds if self.seconds else None


class Stream(Protocol):
    """Continuations under way, which requests join at any time.

    What a request is continued with depends on the request alone, not on when it
    joined nor on what else was under way, up to the rounding of floating-point sums.
    """

    def add(self, key: Hashable, request: Request) -> None:
        """Take in a request under a key that no other request of this stream has. Raises `ConfigError`."""
        ...

    def drop(self, key: Hashable, first: int = 0) -> None:
        """Forget those of a request's copies that are under way, from number `first` on."""
        ...

    def close(self) -> None:
        """Forget everything under way."""
        ...

    def step(self) -> list[Finished]:
        """Draw at least one token for something under way; returns what came to its end, in a fixed order."""
        ...

    def __len__(self) -> int:
        """How many continuations are under way or wait to be."""
        ...


class Engine(Protocol):
    """Generates text with the policy's current weights."""

    def generate(self, requests: Sequence[Request]) -> list[list[Completion]]:
        """Continue every request; the outer list follows `requests`, the inner one has `n` each. Raises `ConfigError`.

        Not while one of the engine's streams has something under way.
        """
        ...

    def stream(self) -> Stream:
        """A stream with nothing under way. One at a time may have anything."""
        ...

    def update_weights(self, state: Mapping[str, torch.Tensor]) -> None:
        """Take over the learner's weights, and forget whatever was cached under the old ones."""
        ...

    def rest(self) -> None:
        """Give memory back until there are new weights, or something to generate. Not while something is under way."""
        ...

    def stats(self) -> EngineStats:
        """What the engine has done so far."""
        ...

    def close(self) -> None:
        """Give up everything; nothing can be generated any more."""
        ...


def complete(stream: Stream, requests: Sequence[Request]) -> list[list[Completion]]:
    """Continue every request of an empty stream to its end; see `Engine.generate`."""
    results: list[list[Completion | None]] = [[None] * request.n for request in requests]
    try:
        # Longest first: the first batch shows at once whether memory suffices.
        for index in sorted(range(len(requests)), key=lambda i: -len(requests[i].prompt)):
            stream.add(index, requests[index])
        while len(stream):
            for one in stream.step():
                results[cast("int", one.key)][one.copy] = one.completion
    finally:
        stream.close()
    return cast("list[list[Completion]]", results)
