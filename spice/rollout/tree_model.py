"""A causal language model that runs trees of tokens, and computes what prompts begin with once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from spice.rollout.cache import TreeCache

Tokens = tuple[int, ...]
_SHORTEST_PREFIX = 16
_MOST_PREFIXES = 4  # two roles, with and without the document in sight


class TreeModel:
    """A transformers model under explicit masks, with a memory of common beginnings."""

    def __init__(self, model: Any) -> None:
        """Take a model loaded by `spice.models.loading`."""
        self._model = model
        self._head = model.get_output_embeddings()
        self._prefixes: dict[Tokens, TreeCache] = {}
        self.vocabulary = int(self._head.weight.shape[0])
        self.device = self._head.weight.device

    def new_cache(self) -> TreeCache:
        """A cache that holds nothing."""
        return TreeCache(self._model.config.num_hidden_layers)

    def forget(self) -> None:
        """Drop what was computed under earlier weights."""
        self._prefixes.clear()

    def prefill(self, prompts: Sequence[Tokens]) -> tuple[TreeCache, torch.Tensor, torch.Tensor, int]:
        """Run prompts from their first token.

        Args:
            prompts: token ids, at least one prompt, each with at least one token.

        Returns:
            The cache, one row a prompt; which of its entries are real, boolean, shape [rows, entries]; the logits
            after each prompt, shape [rows, vocabulary]; how many tokens were computed for that.
        """
        prefix, computed = self._prefix(prompts)
        shared = prefix.get_seq_length() if prefix else 0
        cache = prefix.expanded(len(prompts)) if prefix else self.new_cache()
        lengths = torch.tensor([len(prompt) - shared for prompt in prompts], device=self.device)
        width = int(lengths.max())
        ids = torch.tensor([_padded(prompt[shared:], width) for prompt in prompts], device=self.device)
        steps = torch.arange(width, device=self.device)
        real = steps < lengths[:, None]
        seen = torch.ones(len(prompts), shared, dtype=torch.bool, device=self.device)
        causal = (steps[:, None] >= steps) & real[:, None]
        mask = torch.cat([seen[:, None].expand(-1, width, -1), causal], dim=-1)
        hidden = self.forward(ids, mask, (shared + steps).expand(len(prompts), -1), cache)
        logits = self.logits(hidden[torch.arange(len(prompts), device=self.device), lengths - 1])
        return cache, torch.cat([seen, real], dim=1), logits, computed + int(lengths.sum())

    def forward(self, ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor, cache: TreeCache) -> torch.Tensor:
        """Run tokens behind a cache, which grows by them.

        Args:
            ids: token ids, shape [rows, queries].
            mask: boolean, shape [rows, queries, entries + queries], true where a query sees a key.
            positions: of each token in its own sequence, shape [rows, queries].
            cache: of the same rows.

        Returns:
            Hidden states, shape [rows, queries, hidden].
        """
        output = self._model.base_model(
            input_ids=ids, attention_mask=mask[:, None], position_ids=positions, past_key_values=cache, use_cache=True
        )
        return output.last_hidden_state  # type: ignore[no-any-return]

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Logits after hidden states, shape [n, hidden] to [n, vocabulary]."""
        return self._head(hidden)  # type: ignore[no-any-return]

    def _prefix(self, prompts: Sequence[Tokens]) -> tuple[TreeCache | None, int]:
        """The cache of what all prompts begin with, and how many tokens had to be computed for it."""
        common = common_prefix(prompts)
        known = max((p for p in self._prefixes if p == common[: len(p)]), key=len, default=())
        # A prompt that comes alone has no beginning in common with anything; it may become a prefix when others follow.
        if len(prompts) == 1 or len(common) - len(known) < _SHORTEST_PREFIX:
            return self._prefixes.get(known), 0
        cache = self._prefixes[known].expanded(1) if known else self.new_cache()
        steps = torch.arange(len(known), len(common), device=self.device)
        mask = torch.arange(len(common), device=self.device) <= steps[:, None]
        self.forward(torch.tensor([common[len(known) :]], device=self.device), mask[None], steps[None], cache)
        if len(self._prefixes) == _MOST_PREFIXES:
            self._prefixes.pop(next(iter(self._prefixes)))
        self._prefixes[common] = cache
        return cache, len(common) - len(known)


def common_prefix(prompts: Sequence[Tokens]) -> Tokens:
    """What all prompts begin with, leaving each at least one token of its own."""
    first, last = min(prompts), max(prompts)
    limit = min(map(len, prompts)) - 1
    length = next((i for i in range(limit) if first[i] != last[i]), limit)
    return first[:length]


def _padded(tokens: Tokens, width: int) -> Tokens:
    return tokens + (0,) * (width - len(tokens))
