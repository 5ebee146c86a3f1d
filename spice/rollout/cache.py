"""A key-value cache in which all continuations of a prompt share the prompt's entries."""

from __future__ import annotations

from typing import Any

import torch
from transformers.cache_utils import Cache, CacheLayerMixin


class TreeLayer(CacheLayerMixin):  # type: ignore[misc]
    """Keys and values of one layer in buffers that grow by doubling, so that a step copies nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.used = 0

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Allocate empty buffers of the right shape."""
        rows, heads, _, size = key_states.shape
        self.keys = key_states.new_empty(rows, heads, 0, size)
        self.values = value_states.new_empty(rows, heads, 0, size)
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append entries, shape [rows, key heads, new, head size], and return all there are."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        end = self.used + key_states.shape[2]
        if end > self.keys.shape[2]:
            self.reserve(max(end, 2 * self.used))
        self.keys[:, :, self.used : end] = key_states
        self.values[:, :, self.used : end] = value_states
        self.used = end
        return self.keys[:, :, :end], self.values[:, :, :end]

    def reserve(self, capacity: int) -> None:
        """Make room for `capacity` entries."""
        for name in ("keys", "values"):
            old = getattr(self, name)
            new = old.new_empty(*old.shape[:2], capacity, old.shape[3])
            new[:, :, : self.used] = old[:, :, : self.used]
            setattr(self, name, new)

    def gather(self, rows: torch.Tensor, entries: torch.Tensor) -> None:
        """Keep only these rows, shape [kept], and of each only these entries, shape [kept, width]."""
        width = entries.shape[1]
        for name in ("keys", "values"):
            old = getattr(self, name)[rows]
            new = old.new_empty(*old.shape[:2], 2 * width, old.shape[3])
            index = entries[:, None, :, None].expand(-1, old.shape[1], -1, old.shape[3])
            new[:, :, :width] = old.gather(2, index)
            setattr(self, name, new)
        self.used = width

    def append_rows(self, other: TreeLayer) -> None:
        """Add the rows of `other`; the shorter of the two is filled up with zeros on its left."""
        width = max(self.used, other.used)
        for name in ("keys", "values"):
            old, new = getattr(self, name), getattr(other, name)
            # The same slack as when a step makes room, or each row that joins would cost two copies.
            both = old.new_zeros(old.shape[0] + new.shape[0], old.shape[1], 2 * width, old.shape[3])
            both[: old.shape[0], :, width - self.used : width] = old[:, :, : self.used]
            both[old.shape[0] :, :, width - other.used : width] = new[:, :, : other.used]
            setattr(self, name, both)
        self.used = width

    def narrow(self, rows: torch.Tensor, first: int) -> None:
        """Keep only these rows, and of them the entries from `first` on."""
        self.keys, self.values = (
            torch.nn.functional.pad(t[rows, :, first : self.used], (0, 0, 0, self.used - first))
            for t in (self.keys, self.values)
        )
        self.used -= first

    def get_seq_length(self) -> int:
        """Return the number of entries."""
        return self.used

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Return how many keys a query sees at most, and the offset of the first."""
        return self.used + query_length, 0

    def get_max_length(self) -> int:
        """Return -1: there is no limit."""
        return -1


class TreeCache(Cache):  # type: ignore[misc]
    """One `TreeLayer` per layer of the model."""

    def __init__(self, layers: int) -> None:
        super().__init__(layers=[TreeLayer() for _ in range(layers)])

    def expanded(self, rows: int) -> TreeCache:
        """Return a copy of a one-row cache with its row repeated."""
        copy = TreeCache(len(self.layers))
        for source, target in zip(self.layers, copy.layers, strict=True):
            target.keys = source.keys[:, :, : source.used].expand(rows, -1, -1, -1).clone()
            target.values = source.values[:, :, : source.used].expand(rows, -1, -1, -1).clone()
            target.used, target.is_initialized = source.used, True
        return copy

    def gather(self, rows: torch.Tensor, entries: torch.Tensor) -> None:
        """Keep only these rows, shape [kept], and of each only these entries, shape [kept, width], in every layer."""
        for layer in self.layers:
            layer.gather(rows, entries)

    def append_rows(self, other: TreeCache) -> None:
        """Add the rows of `other` in every layer."""
        for layer, theirs in zip(self.layers, other.layers, strict=True):
            layer.append_rows(theirs)

    def narrow(self, rows: torch.Tensor, first: int) -> None:
        """Keep only these rows, and of them the entries from `first` on, in every layer."""
        for layer in self.layers:
            layer.narrow(rows, first)
