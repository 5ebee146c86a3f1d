"""The embedded engine: batched decoding with transformers, where copies of a prompt cost nothing.

What is different from `model.generate`: all continuations of one prompt, of
whatever requests, are decoded as one row under a tree mask, so the prompt's
keys and values exist once; what all prompts of a batch begin with (instructions, worked examples)
is computed once for as long as the weights stay the same; finished
continuations leave the batch at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from spice.rollout.base import Completion, Request
from spice.rollout.cache import TreeCache
from spice.rollout.grammar import GrammarCompiler, unpack
from spice.rollout.sampling import draw, entropy, log_probabilities

_SHORTEST_PREFIX = 16


class TransformersEngine:
    """Generates with a transformers causal language model on the device that the model is on."""

    def __init__(self, model: Any, tokenizer: Any, batch_tokens: int) -> None:
        """Take a model loaded by `spice.models.loading` and its tokenizer.

        Args:
            model: the causal language model; its weights are ours from here on.
            tokenizer: its tokenizer.
            batch_tokens: most tokens, prompts and room for answers, in flight at once.
        """
        self._model = model
        self._tokenizer = tokenizer
        self._batch_tokens = batch_tokens
        self._head = model.get_output_embeddings()
        self._vocabulary = self._head.weight.shape[0]
        self._device = self._head.weight.device
        self._grammars: GrammarCompiler | None = None
        self._prefix: tuple[tuple[int, ...], TreeCache] | None = None

    def generate(self, requests: Sequence[Request]) -> list[list[Completion]]:
        """Continue every request; see `spice.rollout.base.Engine`."""
        results: list[list[Completion]] = [[] for _ in requests]
        with torch.inference_mode():
            for batch in self._batches(requests):
                done = self._decode([requests[index] for index in batch])
                for index, completions in zip(batch, done, strict=True):
                    results[index] = completions
        return results

    def update_weights(self, state: Mapping[str, torch.Tensor]) -> None:
        """Copy the learner's weights in, and forget the cached prefix."""
        self._prefix = None
        own = self._model.state_dict()
        with torch.no_grad():
            for name, tensor in state.items():
                own[name].copy_(tensor)

    def _batches(self, requests: Sequence[Request]) -> Iterator[list[int]]:
        """Group requests of like length so that a batch stays within the token budget."""
        batch: list[int] = []
        rooms = 0
        # Longest first: the first batch shows at once whether memory suffices.
        for index in sorted(range(len(requests)), key=lambda i: -len(requests[i].prompt)):
            request = requests[index]
            longest = len(requests[batch[0]].prompt) if batch else len(request.prompt)
            room = request.n * request.max_tokens
            if batch and (len(batch) + 1) * longest + rooms + room > self._batch_tokens:
                yield batch
                batch, rooms = [], 0
            batch.append(index)
            rooms += room
        if batch:
            yield batch

    def _decode(self, requests: list[Request]) -> list[list[Completion]]:
        tree = _Tree(requests, self._tokenizer.eos_token_id)
        cache, visible, logits = self._prefill(tree.prompts)
        matchers = self._matchers(requests, tree)
        owners = torch.full((len(tree.prompts), 0), -1, device=self._device)
        logits = logits[torch.tensor(tree.rows, device=self._device)]
        while True:
            self._extend(tree, logits, matchers)
            if not tree.active:
                return tree.completions(self._tokenizer)
            if len(rows := tree.live_rows()) <= visible.shape[0] // 2:
                keep = torch.tensor(rows, device=self._device)
                cache.select(keep)
                visible, owners = visible[keep], owners[keep]
                tree.renumber(rows)
            columns = tree.columns(visible.shape[0])
            owner = torch.tensor(columns, device=self._device)
            owners = torch.cat([owners, owner], dim=1)
            mask = torch.cat(
                [visible[:, None].expand(-1, owner.shape[1], -1), owners[:, None] == owner[:, :, None]], -1
            )
            last = torch.tensor(tree.last_tokens(columns), device=self._device)
            position = torch.tensor(tree.positions(columns), device=self._device)
            hidden = self._forward(last, mask, position, cache)
            where = {sample: (row, column) for row, line in enumerate(columns) for column, sample in enumerate(line)}
            picked = torch.tensor([where[sample] for sample in tree.active], device=self._device)
            logits = self._head(hidden[picked[:, 0], picked[:, 1]])

    def _prefill(self, prompts: list[tuple[int, ...]]) -> tuple[TreeCache, torch.Tensor, torch.Tensor]:
        """Run the prompts.

        Returns:
            The cache, which of its entries are real (boolean, shape [rows, entries]),
            and the logits after each prompt, shape [rows, vocabulary].
        """
        prefix = self._prefix_cache(_common_prefix(prompts))
        shared = prefix.layers[0].used if prefix else 0
        cache = prefix.expanded(len(prompts)) if prefix else TreeCache(self._model.config.num_hidden_layers)
        lengths = torch.tensor([len(prompt) - shared for prompt in prompts], device=self._device)
        width = int(lengths.max())
        ids = torch.tensor([_padded(prompt[shared:], width) for prompt in prompts], device=self._device)
        steps = torch.arange(width, device=self._device)
        real = steps < lengths[:, None]
        seen = torch.ones(len(prompts), shared, dtype=torch.bool, device=self._device)
        causal = (steps[:, None] >= steps) & real[:, None]
        mask = torch.cat([seen[:, None].expand(-1, width, -1), causal], dim=-1)
        hidden = self._forward(ids, mask, (shared + steps).expand(len(prompts), -1), cache)
        logits = self._head(hidden[torch.arange(len(prompts), device=self._device), lengths - 1])
        return cache, torch.cat([seen, real], dim=1), logits

    def _prefix_cache(self, prefix: tuple[int, ...]) -> TreeCache | None:
        if len(prefix) < _SHORTEST_PREFIX:
            return None
        if self._prefix is None or self._prefix[0] != prefix:
            cache = TreeCache(self._model.config.num_hidden_layers)
            steps = torch.arange(len(prefix), device=self._device)
            ids = torch.tensor([prefix], device=self._device)
            self._forward(ids, (steps[:, None] >= steps)[None], steps[None], cache)
            self._prefix = (prefix, cache)
        return self._prefix[1]

    def _forward(
        self, ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor, cache: TreeCache
    ) -> torch.Tensor:
        """Return hidden states, shape [rows, queries, hidden]; `mask` has shape [rows, queries, keys]."""
        output = self._model.base_model(
            input_ids=ids, attention_mask=mask[:, None], position_ids=positions, past_key_values=cache, use_cache=True
        )
        return output.last_hidden_state  # type: ignore[no-any-return]

    def _matchers(self, requests: list[Request], tree: _Tree) -> list[Any]:
        """Return one grammar matcher per sample, `None` where decoding is free."""
        if self._grammars is None and any(request.grammar for request in requests):
            self._grammars = GrammarCompiler(self._tokenizer, self._vocabulary)
        compiled = [self._grammars.matcher(r.grammar) if r.grammar and self._grammars else None for r in requests]
        return [None if (matcher := compiled[owner]) is None else matcher.deep_copy() for owner in tree.owners]

    def _extend(self, tree: _Tree, logits: torch.Tensor, matchers: list[Any]) -> None:
        """Draw the next token of every active sample from `logits`, shape [active, vocabulary]."""
        ruled = [place for place, sample in enumerate(tree.active) if matchers[sample] is not None]
        allowed, bits = None, None
        if ruled and self._grammars:
            bits = self._grammars.allowed([matchers[tree.active[place]] for place in ruled])
            allowed = torch.ones(len(tree.active), self._vocabulary, dtype=torch.bool)
            allowed[torch.tensor(ruled)] = torch.from_numpy(unpack(bits, self._vocabulary))
            allowed = allowed.to(self._device)
        temperatures, uniforms = tree.randomness(self._device)
        logprobs = log_probabilities(logits, temperatures, allowed)
        tokens = draw(logprobs, temperatures, uniforms)
        chosen = logprobs.gather(-1, tokens[:, None])[:, 0].cpu().numpy()
        rows = dict(zip(ruled, bits, strict=True)) if bits is not None else {}
        ids = tokens.tolist()
        for place, sample in enumerate(tree.active):
            if matchers[sample] is not None:
                matchers[sample].consume_token(ids[place])
        tree.append(ids, chosen, entropy(logprobs).cpu().numpy(), rows)


@dataclass
class _Sample:
    """One continuation in the making."""

    owner: int
    row: int
    request: Request
    uniforms: NDArray[np.float64]
    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    entropies: list[float] = field(default_factory=list)
    allowed: list[NDArray[np.uint32]] = field(default_factory=list)
    stopped: bool = False


class _Tree:
    """The bookkeeping of one batch: which samples are alive, in which row, with which tokens.

    Attributes:
        prompts: one per row, no two alike.
        owners: the request that each sample belongs to.
        rows: the row that each sample continues.
        active: the samples that are not finished.
    """

    def __init__(self, requests: list[Request], end_token: int) -> None:
        self._end = end_token
        self._requests = requests
        self.prompts = list(dict.fromkeys(request.prompt for request in requests))
        row = {prompt: place for place, prompt in enumerate(self.prompts)}
        self._samples = [
            _Sample(owner, row[request.prompt], request, uniforms)
            for owner, request in enumerate(requests)
            for uniforms in np.random.Generator(np.random.Philox(request.seed)).random((request.n, request.max_tokens))
        ]
        self.owners = [sample.owner for sample in self._samples]
        self.rows = [sample.row for sample in self._samples]
        self.active = list(range(len(self._samples)))
        self._place = {row: row for row in range(len(self.prompts))}

    def randomness(self, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        """Temperature and uniform number of each active sample for its next token."""
        live = [self._samples[sample] for sample in self.active]
        temperatures = torch.tensor([s.request.temperature for s in live], device=device)
        return temperatures, torch.tensor([float(s.uniforms[len(s.tokens)]) for s in live], device=device)

    def append(
        self,
        tokens: list[int],
        logprobs: NDArray[np.float32],
        entropies: NDArray[np.float32],
        allowed: Mapping[int, NDArray[np.uint32]],
    ) -> None:
        """Give every active sample its next token; what is finished stops being active."""
        for place, number in enumerate(self.active):
            sample = self._samples[number]
            sample.tokens.append(tokens[place])
            sample.logprobs.append(float(logprobs[place]))
            sample.entropies.append(float(entropies[place]))
            if place in allowed:
                sample.allowed.append(allowed[place])
            sample.stopped = tokens[place] == self._end
        self.active = [
            number
            for number in self.active
            if not (s := self._samples[number]).stopped and len(s.tokens) < s.request.max_tokens
        ]

    def live_rows(self) -> list[int]:
        """Places of the rows in which something is still active."""
        return sorted({self._place[self.rows[sample]] for sample in self.active})

    def renumber(self, kept: list[int]) -> None:
        """Follow the cache after it kept only the rows at these places."""
        new = {old: place for place, old in enumerate(kept)}
        self._place = {row: new[place] for row, place in self._place.items() if place in new}

    def columns(self, rows: int) -> list[list[int]]:
        """The active samples of each row, padded with -2 (which owns nothing) to one length."""
        lines: list[list[int]] = [[] for _ in range(rows)]
        for sample in self.active:
            lines[self._place[self.rows[sample]]].append(sample)
        width = max(map(len, lines))
        return [line + [-2] * (width - len(line)) for line in lines]

    def last_tokens(self, columns: list[list[int]]) -> list[list[int]]:
        """The token that each column feeds to the model."""
        return [[self._samples[s].tokens[-1] if s >= 0 else self._end for s in line] for line in columns]

    def positions(self, columns: list[list[int]]) -> list[list[int]]:
        """The position of that token in its own sequence."""
        return [
            [len((o := self._samples[s]).request.prompt) + len(o.tokens) - 1 if s >= 0 else 0 for s in line]
            for line in columns
        ]

    def completions(self, tokenizer: Any) -> list[list[Completion]]:
        """The finished samples, by request."""
        results: list[list[Completion]] = [[] for _ in self._requests]
        for sample in self._samples:
            results[sample.owner].append(
                Completion(
                    tokens=tuple(sample.tokens),
                    logprobs=np.array(sample.logprobs, dtype=np.float32),
                    entropies=np.array(sample.entropies, dtype=np.float32),
                    text=tokenizer.decode(sample.tokens, skip_special_tokens=True),
                    finish="stop" if sample.stopped else "length",
                    allowed=np.stack(sample.allowed) if sample.allowed else None,
                )
            )
        return results


def _common_prefix(prompts: list[tuple[int, ...]]) -> tuple[int, ...]:
    """What all prompts begin with, leaving each at least one token of its own."""
    first, last = min(prompts), max(prompts)
    limit = min(map(len, prompts)) - 1
    length = next((i for i in range(limit) if first[i] != last[i]), limit)
    return first[:length] if len(prompts) > 1 else ()


def _padded(tokens: tuple[int, ...], width: int) -> tuple[int, ...]:
    return tokens + (0,) * (width - len(tokens))
