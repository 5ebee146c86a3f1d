"""Trajectories that share a prefix, packed so that the prefix is computed once.

A batch of self-play is full of repetition: all prompts begin with the same
instructions, the attempts of one document share it, the answers of one
question share that, and many answers are the same. The packing is a trie over
tokens in depth-first order. A token sees its ancestors only, so each path
through the trie gives exactly what the plain sequence would.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

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


@dataclass
class _Node:
    token: int
    children: dict[tuple[int, float], _Node] = field(default_factory=dict)
    gain: float = 0.0
    loss: float = 0.0
    logprob: float = 0.0
    temperature: float = 1.0
    allowed: NDArray[np.uint32] | None = None
    trained: bool = False


def pack(trajectories: Sequence[Trajectory], weights: Sequence[float], budget: int) -> Iterator[Packed]:
    """Pack trajectories into tries of at most `budget` tokens each.

    Sorting by prompt puts trajectories with common prefixes into the same trie.
    One trajectory longer than the budget gets a trie of its own.

    Args:
        trajectories: of both roles.
        weights: the factor on each trajectory's advantage in the loss.
        budget: most tokens in a trie.
    """
    order = sorted(range(len(trajectories)), key=lambda i: (trajectories[i].prompt, trajectories[i].tokens))
    root, size = _Node(-1), 0
    for index in order:
        new = _missing(root, trajectories[index])
        if size and size + new > budget:
            yield _flatten(root)
            root, size = _Node(-1), 0
            new = _missing(root, trajectories[index])
        _insert(root, trajectories[index], weights[index])
        size += new
    if size:
        yield _flatten(root)


def _keys(trajectory: Trajectory) -> Iterator[tuple[int, float]]:
    """Edges of the path. Continuations at different temperatures must not merge, prompts may."""
    yield from ((token, 0.0) for token in trajectory.prompt)
    yield from ((token, trajectory.temperature) for token in trajectory.tokens)


def _missing(root: _Node, trajectory: Trajectory) -> int:
    """How many tokens of the trajectory the trie does not hold yet."""
    node, length = root, 0
    for key in _keys(trajectory):
        child = node.children.get(key)
        if child is None:
            break
        node, length = child, length + 1
    return len(trajectory.prompt) + len(trajectory.tokens) - length


def _insert(root: _Node, trajectory: Trajectory, weight: float) -> None:
    node = root
    value = weight * trajectory.advantage
    for depth, key in enumerate(_keys(trajectory)):
        node = node.children.setdefault(key, _Node(key[0]))
        step = depth - len(trajectory.prompt)
        if step < 0:
            continue
        if not node.trained:
            node.trained = True
            node.logprob = float(trajectory.logprobs[step])
            node.temperature = trajectory.temperature
            node.allowed = trajectory.allowed[step] if trajectory.allowed is not None else None
        node.gain += max(value, 0.0)
        node.loss += min(value, 0.0)


def _flatten(root: _Node) -> Packed:
    """Lay the trie out in depth-first order, without recursion: sequences are longer than Python's stack."""
    nodes: list[_Node] = []
    parents: list[int] = []
    depths: list[int] = []
    stack = [(child, -1, 0) for child in reversed(root.children.values())]
    while stack:
        node, parent, depth = stack.pop()
        index = len(nodes)
        nodes.append(node)
        parents.append(parent)
        depths.append(depth)
        stack.extend((child, index, depth + 1) for child in reversed(node.children.values()))
    ends = np.arange(1, len(nodes) + 1)
    for index in range(len(nodes) - 1, 0, -1):
        if parents[index] >= 0:
            ends[parents[index]] = max(ends[parents[index]], ends[index])
    trained = [index for index, node in enumerate(nodes) if node.trained]
    return Packed(
        tokens=np.array([node.token for node in nodes], dtype=np.int64),
        positions=np.array(depths, dtype=np.int64),
        ends=ends.astype(np.int64),
        targets=np.array(trained, dtype=np.int64),
        sources=np.array([parents[index] for index in trained], dtype=np.int64),
        logprobs=np.array([nodes[index].logprob for index in trained], dtype=np.float32),
        gains=np.array([nodes[index].gain for index in trained], dtype=np.float32),
        losses=np.array([nodes[index].loss for index in trained], dtype=np.float32),
        temperatures=np.array([nodes[index].temperature for index in trained], dtype=np.float32),
        allowed=_stack_allowed([nodes[index].allowed for index in trained]),
    )


def _stack_allowed(rows: list[NDArray[np.uint32] | None]) -> NDArray[np.uint32] | None:
    words = next((len(row) for row in rows if row is not None), 0)
    if not words:
        return None
    free = np.full(words, 0xFFFFFFFF, dtype=np.uint32)
    return np.stack([free if row is None else row for row in rows])
