"""The door to text generation: what every engine must do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

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


class Engine(Protocol):
    """Generates text with the policy's current weights."""

    def generate(self, requests: Sequence[Request]) -> list[list[Completion]]:
        """Continue every request; the outer list follows `requests`, the inner one has `n` each."""
        ...

    def update_weights(self, state: Mapping[str, torch.Tensor]) -> None:
        """Take over the learner's weights, and forget whatever was cached under the old ones."""
        ...
