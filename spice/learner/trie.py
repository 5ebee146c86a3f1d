"""Trajectories that share a prefix, packed so that the prefix is computed once.

A batch of self-play is full of repetition: all prompts begin with the same
instructions, the attempts of one document share it, the answers of one
question share that, and many answers are the same. The packing is a trie over
tokens in depth-first order. A token sees its ancestors only, so each path
through the trie gives exactly what the plain sequence would.

Sorted trajectories build it from left to right: each has in common with the
one before it what it has in common with any. So there is no node to look up,
and the work is a few array operations for each trajectory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spice.learner.base import Trajectory


@dataclass(frozen=True)
class Packed:
    """One micro-batch as a trie of T tokens, of which K are trained on.

    Attributes:
        tokens: token ids in depth-first order, shape [T].
        positions: depth of each token, which is its position in its own sequence, shape [T].
        ends: index after the last descendant of each token, shape [T]; token i is
            seen by token j exactly if i <= j < ends[i].
        targets: indices of the trained tokens, shape [K].
        sources: index of the token before each of them, shape [K].
        logprobs: the engine's log-probabilities, shape [K].
        gains: sum of the positive weighted advantages of the trajectories through the token, shape [K].
        losses: sum of the negative ones, shape [K].
        temperatures: shape [K].
        allowed: packed grammar bits, shape [K, words]; all ones where decoding was free. `None` if nowhere ruled.
    """

    tokens: NDArray[np.int64]
    positions: NDArray[np.int64]
    ends: NDArray[np.int64]
    targets: NDArray[np.int64]
    sources: NDArray[np.int64]
    logprobs: NDArray[np.float32]
    gains: NDArray[np.float32]
    losses: NDArray[np.float32]
    temperatures: NDArray[np.float32]
    allowed: NDArray[np.uint32] | None


def pack(trajectories: Sequence[Trajectory], weights: Sequence[float], budget: int) -> Iterator[Packed]:
    """Pack trajectories into tries of at most `budget` tokens each.

    Sorting by prompt puts trajectories with common prefixes into the same trie.
    One trajectory longer than the budget gets a trie of its own.

    Args:
        trajectories: of both roles.
        weights: the factor on each trajectory's advantage in the loss.
        budget: most tokens in a trie.
    """
    # Continuations at different temperatures must not merge, prompts may.
    order = sorted(
        range(len(trajectories)),
        key=lambda i: (trajectories[i].prompt, trajectories[i].temperature, trajectories[i].tokens),
    )
    trie = _Trie()
    for index in order:
        one = trajectories[index]
        sequence = np.array(one.prompt + one.tokens, dtype=np.int64)
        shared = trie.shared(one, sequence)
        if trie.size and trie.size + len(sequence) - shared > budget:
            yield trie.packed()
            trie, shared = _Trie(), 0
        trie.add(one, sequence, shared, weights[index] * one.advantage)
    if trie.size:
        yield trie.packed()


class _Trie:
    """A trie in the making, to which trajectories come in order.

    Attributes:
        size: tokens so far.
    """

    def __init__(self) -> None:
        self.size = 0
        self._last: Trajectory | None = None
        self._sequence = np.zeros(0, np.int64)  # the last trajectory's tokens
        self._path = np.zeros(0, np.int64)  # and their indices
        # Of the tokens that each trajectory brought, one array after the other.
        self._tokens: list[NDArray[np.int64]] = []
        self._positions: list[NDArray[np.int64]] = []
        self._targets: list[NDArray[np.int64]] = []
        self._sources: list[NDArray[np.int64]] = []
        self._logprobs: list[NDArray[np.float32]] = []
        self._temperatures: list[NDArray[np.float32]] = []
        self._allowed: list[tuple[int, NDArray[np.uint32] | None]] = []
        # Tokens whose descendants end before an index, and tokens that carry a weighted advantage.
        self._ended: list[tuple[NDArray[np.int64], int]] = []
        self._values: list[tuple[NDArray[np.int64], float]] = []

    def shared(self, one: Trajectory, sequence: NDArray[np.int64]) -> int:
        """How many tokens of a trajectory are there already; `sequence` is its prompt and its continuation."""
        if self._last is None:
            return 0
        length = min(len(sequence), len(self._sequence))
        differ = sequence[:length] != self._sequence[:length]
        alike = int(differ.argmax()) if differ.any() else length
        merge = one.prompt == self._last.prompt and one.temperature == self._last.temperature
        return alike if merge else min(alike, len(one.prompt), len(self._last.prompt))

    def add(self, one: Trajectory, sequence: NDArray[np.int64], shared: int, value: float) -> None:
        """Take in a trajectory of which so many tokens are there already, and its weighted advantage."""
        new = np.arange(self.size, self.size + len(sequence) - shared)
        path = np.concatenate([self._path[:shared], new])
        trained = max(shared, len(one.prompt))
        step = trained - len(one.prompt)
        self._ended.append((self._path[shared:], self.size))
        self._tokens.append(sequence[shared:])
        self._positions.append(np.arange(shared, len(sequence)))
        self._targets.append(path[trained:])
        self._sources.append(path[trained - 1 : -1])
        self._logprobs.append(np.asarray(one.logprobs[step:], dtype=np.float32))
        self._temperatures.append(np.full(len(sequence) - trained, one.temperature, dtype=np.float32))
        self._allowed.append((len(sequence) - trained, None if one.allowed is None else one.allowed[step:]))
        self._values.append((path[len(one.prompt) :], value))
        self.size += len(new)
        self._last, self._sequence, self._path = one, sequence, path

    def packed(self) -> Packed:
        """All of it."""
        ends = np.full(self.size, self.size, dtype=np.int64)
        for tokens, index in self._ended:
            ends[tokens] = index
        gains, losses = np.zeros(self.size), np.zeros(self.size)
        for tokens, value in self._values:
            (gains if value > 0 else losses)[tokens] += value
        targets = np.concatenate(self._targets)
        return Packed(
            tokens=np.concatenate(self._tokens),
            positions=np.concatenate(self._positions),
            ends=ends,
            targets=targets,
            sources=np.concatenate(self._sources),
            logprobs=np.concatenate(self._logprobs),
            gains=gains[targets].astype(np.float32),
            losses=losses[targets].astype(np.float32),
            temperatures=np.concatenate(self._temperatures),
            allowed=_stacked(self._allowed),
        )


def _stacked(parts: Sequence[tuple[int, NDArray[np.uint32] | None]]) -> NDArray[np.uint32] | None:
    """The bits of several trajectories' tokens, all ones where one decoded freely; `None` if all did."""
    words = next((rows.shape[1] for _, rows in parts if rows is not None and len(rows)), 0)
    if not words:
        return None
    free = np.uint32(0xFFFFFFFF)
    return np.concatenate([np.full((count, words), free) if rows is None else rows for count, rows in parts])
