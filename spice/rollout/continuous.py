"""Continuous batching: sequences join and leave a running batch between any two tokens.

For serving, where `TransformersEngine` is for self-play: there a batch is known
at its beginning and only its end counts; here requests come when they come, each
token counts as soon as it is drawn, and any sequence can be dropped at once.
Sequences of different age share one cache, aligned at its right end.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from spice.config import ModelConfig
from spice.errors import ConfigError
from spice.models.loading import load_model, load_tokenizer
from spice.rollout.cache import TreeCache
from spice.rollout.sampling import draw, keep_nucleus, log_probabilities

Finish = Literal["stop", "length"]  # an end token, or as long as was asked for


@dataclass(frozen=True)
class Sequence:
    """One text to be continued.

    Attributes:
        prompt: token ids, at least one.
        max_tokens: longest continuation, the end token included; at least 1.
        temperature: 0 decodes greedily.
        top_p: draw from the fewest tokens that together have this probability, in (0, 1].
        seed: makes the continuation repeatable; none draws afresh.
        ignore_end: go on past end tokens, to a length that is known beforehand.
    """

    prompt: tuple[int, ...]
    max_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    seed: int | None = None
    ignore_end: bool = False


@dataclass
class _Member:
    key: int
    sequence: Sequence
    generator: np.random.Generator
    tokens: list[int] = field(default_factory=list)


class ContinuousBatch:
    """A running batch. Not safe for several threads: one thread adds, steps and drops."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        """Take a model loaded by `spice.models.loading` and its tokenizer."""
        self.tokenizer = tokenizer
        self._model = model
        self._head = model.get_output_embeddings()
        self._device = self._head.weight.device
        self._ends = _end_tokens(model, tokenizer)
        self._members: list[_Member] = []
        self._cache = TreeCache(model.config.num_hidden_layers)
        self._visible = torch.zeros(0, 0, dtype=torch.bool, device=self._device)

    @property
    def context(self) -> int:
        """Most tokens of a prompt and its continuation together."""
        return int(self._model.config.max_position_embeddings)

    def __len__(self) -> int:
        """How many sequences are under way."""
        return len(self._members)

    def add(self, key: int, sequence: Sequence) -> tuple[int, Finish | None]:
        """Take in a sequence under a key of the caller's choice.

        Returns:
            Its first token, and how it ended, if that was its last.

        Raises:
            ConfigError: it does not fit into the model's context.
        """
        if len(sequence.prompt) + sequence.max_tokens > self.context:
            raise ConfigError(
                f"The prompt has {len(sequence.prompt)} tokens and the answer may have {sequence.max_tokens}, but the "
                f"model's context is {self.context} tokens. Shorten the prompt or ask for fewer."
            )
        member = _Member(key, sequence, np.random.default_rng(sequence.seed))
        with torch.inference_mode():
            cache = TreeCache(self._model.config.num_hidden_layers)
            steps = torch.arange(len(sequence.prompt), device=self._device)
            ids = torch.tensor([sequence.prompt], device=self._device)
            logits = self._forward(ids, (steps[:, None] >= steps)[None], steps[None], cache)
            [finish] = self._extend([member], logits)
            if finish is None:
                self._join(cache)
                self._members.append(member)
        return member.tokens[-1], finish

    def step(self) -> list[tuple[int, int, Finish | None]]:
        """Draw one token for every sequence under way; those that end leave.

        Returns:
            For each its key, the token, and how it ended, if that was its last.
        """
        if not self._members:
            return []
        stepped = list(self._members)
        with torch.inference_mode():
            last = torch.tensor([[member.tokens[-1]] for member in stepped], device=self._device)
            position = torch.tensor(
                [[len(member.sequence.prompt) + len(member.tokens) - 1] for member in stepped], device=self._device
            )
            own = torch.ones(len(stepped), 1, dtype=torch.bool, device=self._device)
            self._visible = torch.cat([self._visible, own], dim=1)
            logits = self._forward(last, self._visible[:, None], position, self._cache)
            finishes = self._extend(stepped, logits)
            self._keep([place for place, finish in enumerate(finishes) if finish is None])
        return [(member.key, member.tokens[-1], finish) for member, finish in zip(stepped, finishes, strict=True)]

    def drop(self, key: int) -> None:
        """Take a sequence out; dropping one that is not there changes nothing."""
        with torch.inference_mode():
            self._keep([place for place, member in enumerate(self._members) if member.key != key])

    def _forward(
        self, ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor, cache: TreeCache
    ) -> torch.Tensor:
        """Logits after each row's last token, shape [rows, vocabulary]; `mask` has shape [rows, queries, keys]."""
        output = self._model.base_model(
            input_ids=ids, attention_mask=mask[:, None], position_ids=positions, past_key_values=cache, use_cache=True
        )
        return self._head(output.last_hidden_state[:, -1])  # type: ignore[no-any-return]

    def _extend(self, members: list[_Member], logits: torch.Tensor) -> list[Finish | None]:
        """Give each its next token, drawn from `logits` of shape [members, vocabulary]; returns how each ended."""
        sequences = [member.sequence for member in members]
        temperatures = torch.tensor([sequence.temperature for sequence in sequences], device=self._device)
        uniforms = torch.tensor([member.generator.random() for member in members], device=self._device)
        logprobs = log_probabilities(logits, temperatures, None)
        if any(sequence.top_p < 1.0 for sequence in sequences):
            shares = torch.tensor([sequence.top_p for sequence in sequences], device=self._device)
            logprobs = keep_nucleus(logprobs, shares)
        finishes: list[Finish | None] = []
        for member, token in zip(members, draw(logprobs, temperatures, uniforms).tolist(), strict=True):
            member.tokens.append(token)
            full = len(member.tokens) >= member.sequence.max_tokens
            stopped = token in self._ends and not member.sequence.ignore_end
            finishes.append("stop" if stopped else "length" if full else None)
        return finishes

    def _join(self, cache: TreeCache) -> None:
        """Append a one-row cache as a row of the batch; the shorter of the two is filled up with entries unseen."""
        used, new = self._visible.shape[1], cache.get_seq_length()
        width = max(used, new)
        row = torch.arange(width, device=self._device)[None] >= width - new
        if not self._members:
            self._cache, self._visible = cache, row
            return
        padding = torch.zeros(len(self._members), width - used, dtype=torch.bool, device=self._device)
        self._visible = torch.cat([torch.cat([padding, self._visible], dim=1), row])
        self._cache.append_rows(cache)

    def _keep(self, places: list[int]) -> None:
        """Keep only these members, and only the entries that one of them sees."""
        if len(places) == len(self._members):
            return
        self._members = [self._members[place] for place in places]
        if not places:
            self._cache = TreeCache(self._model.config.num_hidden_layers)
            self._visible = self._visible[:0, :0]
            return
        visible = self._visible[places]
        first = int(visible.any(dim=0).nonzero()[0])
        self._visible = visible[:, first:]
        self._cache.narrow(torch.tensor(places, device=self._device), first)


def open_batch(folder: Path, model: ModelConfig) -> ContinuousBatch:
    """Load the model in `folder` for serving, in `model.dtype` on `model.device`."""
    return ContinuousBatch(load_model(folder, model.dtype, model.device), load_tokenizer(folder))


def _end_tokens(model: Any, tokenizer: Any) -> set[int]:
    """The tokens that end an answer: the tokenizer's, and those that the model's own settings add."""
    named = model.generation_config.eos_token_id if model.generation_config else None
    more = named if isinstance(named, list) else [named]
    return {tokenizer.eos_token_id, *(token for token in more if token is not None)}
