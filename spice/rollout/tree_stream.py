"""A running batch in which the continuations of one prompt are one row, under a tree mask.

The prompt's keys and values exist once, whatever the number of its copies.
Requests join between any two tokens, and what ends leaves: entries that nobody
looks at any more are squeezed out of the cache when they are half of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from spice.rollout.base import Completion, Finished, Request
from spice.rollout.cache import TreeCache
from spice.rollout.grammar import GrammarCompiler, unpack
from spice.rollout.sampling import sample
from spice.rollout.tree_model import Tokens, TreeModel

# Owners of cache entries besides the samples, which count from 0.
_ALL, _NOBODY, _FILLER = -1, -2, -3
# So many of those under way must wait before a prefill interrupts the others, which costs them a step.
_JOINING_SHARE = 0.25
_ALIKE = 16  # tokens by which prompts must agree to be prefilled together


@dataclass
class Work:
    """Counts of what streams did: seconds, and tokens drawn, of prompts, and of prompts that were computed."""

    seconds: float = 0.0
    generated: int = 0
    prompts: int = 0
    computed: int = 0


@dataclass
class _Sample:
    """One continuation in the making; `number` owns its entries of the cache."""

    number: int
    key: Hashable
    copy: int
    request: Request
    uniforms: NDArray[np.float64]
    matcher: Any
    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    entropies: list[float] = field(default_factory=list)
    allowed: list[NDArray[np.uint32]] = field(default_factory=list)


class TreeStream:
    """The stream of `TransformersEngine`; see `spice.rollout.base.Stream`."""

    def __init__(
        self,
        model: TreeModel,
        tokenizer: Any,
        grammars: GrammarCompiler,
        batch_tokens: int,
        work: Work,
        clock: Callable[[], float],
    ) -> None:
        """Begin with nothing under way.

        Args:
            model: runs the tokens.
            tokenizer: of the model.
            grammars: compiled for that tokenizer.
            batch_tokens: most tokens, prompts and room for continuations, in flight at once.
            work: where to count.
            clock: seconds.
        """
        self._model, self._tokenizer, self._grammars = model, tokenizer, grammars
        self._batch_tokens, self._work, self._clock = batch_tokens, work, clock
        self._numbers = count()
        self._waiting: deque[list[_Sample]] = deque()
        self._active: list[_Sample] = []
        self._empty()

    def add(self, key: Hashable, request: Request) -> None:
        """Take in a request; see `spice.rollout.base.Stream`."""
        matcher = self._grammars.matcher(request.grammar) if request.grammar else None
        uniforms = np.random.Generator(np.random.Philox(request.seed)).random((request.n, request.max_tokens))
        self._waiting.append(
            [
                _Sample(next(self._numbers), key, copy, request, uniforms[copy], matcher and matcher.deep_copy())
                for copy in range(request.n)
            ]
        )

    def drop(self, key: Hashable, first: int = 0) -> None:
        """Forget copies of a request; see `spice.rollout.base.Stream`."""

        def kept(samples: list[_Sample]) -> list[_Sample]:
            return [sample for sample in samples if sample.key != key or sample.copy < first]

        self._active = kept(self._active)
        self._waiting = deque(left for samples in self._waiting if (left := kept(samples)))

    def close(self) -> None:
        """Forget everything; see `spice.rollout.base.Stream`."""
        self._waiting.clear()
        self._active.clear()
        self._empty()

    def step(self) -> list[Finished]:
        """Draw one token for everything under way; see `spice.rollout.base.Stream`."""
        start = self._clock()
        with torch.inference_mode():
            logits = [self._advance()] if self._active else []
            if joining := self._joining():
                logits.append(self._join(joining))
            if logits:
                self._extend(torch.cat(logits))
        over = [sample for sample in self._active if self._is_over(sample)]
        self._active = [sample for sample in self._active if not self._is_over(sample)]
        finished = [Finished(sample.key, sample.copy, self._completion(sample)) for sample in over]
        self._work.seconds += self._clock() - start
        return finished

    def __len__(self) -> int:
        """How many continuations are under way or wait to be."""
        return len(self._active) + sum(map(len, self._waiting))

    def _empty(self) -> None:
        self._cache = self._model.new_cache()
        self._owners = torch.full((0, 0), _NOBODY, device=self._model.device)
        self._rows: dict[Tokens, int] = {}
        self._after: list[torch.Tensor] = []

    def _joining(self) -> list[_Sample]:
        """Take from the waiting those that fit in, once they are worth the interruption."""
        if sum(map(len, self._waiting)) < _JOINING_SHARE * len(self._active):
            return []
        joining: list[_Sample] = []
        while self._waiting and (self._fits([*joining, *self._waiting[0]]) or not (joining or self._active)):
            joining += self._waiting.popleft()
        return joining

    def _fits(self, joining: list[_Sample]) -> bool:
        samples = [*self._active, *joining]
        prompts = {sample.request.prompt for sample in samples}
        room = sum(sample.request.max_tokens for sample in samples)
        return len(prompts) * max(map(len, prompts)) + room <= self._batch_tokens

    def _join(self, joining: list[_Sample]) -> torch.Tensor:
        """Let samples join; returns the logits after their prompts, shape [joining, vocabulary]."""
        if not self._active:
            self._empty()
        fresh = dict.fromkeys(s.request.prompt for s in joining if s.request.prompt not in self._rows)
        for prompts in _alike(list(fresh)):
            cache, real, logits, computed = self._model.prefill(prompts)
            self._append(cache, torch.where(real, _ALL, _NOBODY))
            self._rows |= {prompt: len(self._after) + place for place, prompt in enumerate(prompts)}
            self._after += logits.unbind()
            self._work.computed += computed
        self._work.prompts += sum(len(sample.request.prompt) for sample in joining)
        self._active += joining
        return torch.stack([self._after[self._rows[sample.request.prompt]] for sample in joining])

    def _append(self, cache: TreeCache, owners: torch.Tensor) -> None:
        """Add rows behind those of the batch; the shorter of the two is filled up on its left."""
        if not self._rows:
            self._cache, self._owners = cache, owners
            return
        width = max(owners.shape[1], self._owners.shape[1])
        filled = [
            torch.nn.functional.pad(part, (width - part.shape[1], 0), value=_NOBODY) for part in (self._owners, owners)
        ]
        self._owners = torch.cat(filled)
        self._cache.append_rows(cache)

    def _advance(self) -> torch.Tensor:
        """Feed the last token of each active sample; returns the logits after it, shape [active, vocabulary]."""
        self._squeeze()
        lines: list[list[_Sample | None]] = [[] for _ in self._after]
        where = []
        for one in self._active:
            row = self._rows[one.request.prompt]
            where.append((row, len(lines[row])))
            lines[row].append(one)
        width = max(map(len, lines))
        grid = [line + [None] * (width - len(line)) for line in lines]
        device = self._model.device
        asking = torch.tensor([[s.number if s else _FILLER for s in line] for line in grid], device=device)
        ids = torch.tensor([[s.tokens[-1] if s else 0 for s in line] for line in grid], device=device)
        positions = torch.tensor(
            [[len(s.request.prompt) + len(s.tokens) - 1 if s else 0 for s in line] for line in grid], device=device
        )
        self._owners = torch.cat([self._owners, torch.where(asking == _FILLER, _NOBODY, asking)], dim=1)
        mask = (self._owners[:, None] == asking[:, :, None]) | (self._owners == _ALL)[:, None]
        hidden = self._model.forward(ids, mask, positions, self._cache)
        picked = torch.tensor(where, device=device)
        return self._model.logits(hidden[picked[:, 0], picked[:, 1]])

    def _squeeze(self) -> None:
        """Leave out rows and entries that nobody looks at, where they are at least half of the cache."""
        alive = {prompt: self._rows[prompt] for prompt in dict.fromkeys(s.request.prompt for s in self._active)}
        rows = torch.tensor(list(alive.values()), device=self._model.device)
        owners = self._owners[rows]
        numbers = torch.tensor([_ALL, *(sample.number for sample in self._active)], device=self._model.device)
        seen = torch.isin(owners, numbers)
        width = int(seen.sum(1).max())
        if len(alive) * width > self._owners.numel() // 2:
            return
        # A stable sort of "unseen" keeps the order of what is seen, and puts the rest behind it.
        entries = (~seen).to(torch.uint8).sort(dim=1, stable=True).indices[:, :width]
        self._owners = owners.masked_fill(~seen, _NOBODY).gather(1, entries)
        self._cache.gather(rows, entries)
        self._after = [self._after[row] for row in alive.values()]
        self._rows = {prompt: place for place, prompt in enumerate(alive)}

    def _extend(self, logits: torch.Tensor) -> None:
        """Draw the next token of every active sample from `logits`, shape [active, vocabulary]."""
        device = logits.device
        ruled = [place for place, one in enumerate(self._active) if one.matcher is not None]
        allowed, rows = None, {}
        if ruled:
            bits = self._grammars.allowed([self._active[place].matcher for place in ruled])
            allowed = torch.ones(len(self._active), self._model.vocabulary, dtype=torch.bool)
            allowed[torch.tensor(ruled)] = torch.from_numpy(unpack(bits, self._model.vocabulary))
            allowed, rows = allowed.to(device), dict(zip(ruled, bits, strict=True))
        temperatures = [one.request.temperature for one in self._active]
        drawn = sample(logits, temperatures, [float(one.uniforms[len(one.tokens)]) for one in self._active], allowed)
        for place, one in enumerate(self._active):
            one.tokens.append(drawn.tokens[place])
            one.logprobs.append(drawn.logprobs[place])
            one.entropies.append(drawn.entropies[place])
            if place in rows:
                one.allowed.append(rows[place])
                one.matcher.consume_token(drawn.tokens[place])
        self._work.generated += len(drawn.tokens)

    def _is_over(self, sample: _Sample) -> bool:
        return sample.tokens[-1] == self._tokenizer.eos_token_id or len(sample.tokens) == sample.request.max_tokens

    def _completion(self, sample: _Sample) -> Completion:
        return Completion(
            tokens=tuple(sample.tokens),
            logprobs=np.array(sample.logprobs, dtype=np.float32),
            entropies=np.array(sample.entropies, dtype=np.float32),
            text=self._tokenizer.decode(sample.tokens, skip_special_tokens=True),
            finish="stop" if sample.tokens[-1] == self._tokenizer.eos_token_id else "length",
            allowed=np.stack(sample.allowed) if sample.allowed else None,
        )


def _alike(prompts: Sequence[Tokens]) -> list[list[Tokens]]:
    """Group prompts by how they begin, so that each group has a beginning worth computing once."""
    groups: dict[Tokens, list[Tokens]] = {}
    for prompt in prompts:
        groups.setdefault(prompt[:_ALIKE], []).append(prompt)
    return list(groups.values())
