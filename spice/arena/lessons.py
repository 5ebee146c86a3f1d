"""What the warm start is taught: both roles of the ladder, played by a policy whose every probability is known.

The model learns the policy's whole next-symbol distribution and not samples of it,
so it comes to believe each fact as strongly as it should after few steps:

    Challenger  copies the document and stops after each operation with the same chance;
                without a document it makes up a computation, with its own beliefs for results
    Reasoner    works a question out by its beliefs; shown the document, it copies the results
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spice.arena.model import END, PAD, VOCABULARY
from spice.arena.world import TRUTH, Beliefs, World
from spice.selfplay.ladder import (
    BOXES,
    DIGITS,
    EMPTY,
    INVENT,
    KINDS,
    OPERANDS,
    OPERATIONS,
    POSE,
    READ,
    SOLVE,
    STEPS,
    WRITE,
)

_ID = {word: place for place, word in enumerate(VOCABULARY)}
_DIGIT, _BOX, _OPERATION, _END = _ID[DIGITS[0]], _ID[BOXES[0]], _ID[OPERATIONS[0]], _ID[END]
_PLACES = np.arange(STEPS)

Ids = NDArray[np.int64]
Shares = NDArray[np.float32]


@dataclass(frozen=True)
class Lesson:
    """Sequences of one role, and what should follow each of their symbols.

    Attributes:
        ids: symbols, shape [B, T].
        first: index of the first symbol after which something is to be learned.
        wanted: distribution of the next symbol, shape [B, T - first, vocabulary]; all zero where nothing is learned.
    """

    ids: Ids
    first: int
    wanted: Shares


class Teacher:
    """Draws lessons in one world, from one set of beliefs."""

    def __init__(self, world: World, beliefs: Beliefs, rng: np.random.Generator, shortest: int | None = None) -> None:
        """Prepare lessons.

        Args:
            world: whose documents are read.
            beliefs: what is held of each fact.
            rng: draws everything.
            shortest: for a Challenger of another habit: it asks for this many operations at least, and for each
                number from here up equally often.
        """
        self._rng = rng
        self._stops = _even_stops(shortest) if shortest else _constant_stops(world.stop)
        self._policy = _policy(beliefs)
        # Operations that may stand at each place, by index in `OPERATIONS`.
        self._choices = [
            np.concatenate([np.arange(OPERANDS) + OPERANDS * KINDS.index(kind) for kind in kinds])
            for kinds in world.places
        ]

    def pose(self, count: int) -> Lesson:
        """The Challenger with a document."""
        document = _interleaved(*self._computations(count, _TRUE))
        ids = np.concatenate([_column(POSE, count), document, _column(WRITE, count), document], axis=1)
        return Lesson(ids, 1 + document.shape[1], _with_stops(_one_hot(document), self._stops))

    def invent(self, count: int) -> Lesson:
        """The Challenger without a document."""
        start, operations, results = self._computations(count, self._policy)
        body = _interleaved(start, operations, results)
        wanted = np.zeros((*body.shape, len(VOCABULARY)), np.float32)
        wanted[:, 0, _DIGIT : _DIGIT + 10] = 0.1
        for place, choices in enumerate(self._choices):
            wanted[:, 1 + 2 * place, _OPERATION + choices] = 1 / len(choices)
        wanted[:, 2::2, _DIGIT : _DIGIT + 10] = self._policy[operations, _before(start, results)]
        ids = np.concatenate([_column(INVENT, count), body], axis=1)
        return Lesson(ids, 0, _with_stops(wanted, self._stops))

    def solve(self, count: int) -> Lesson:
        """The Reasoner as it is asked in self-play."""
        start, operations, results = self._computations(count, self._policy)
        # Half of the questions are as long as can be: they hold the most facts.
        length = np.where(self._rng.random(count) < 0.5, STEPS, self._rng.integers(1, STEPS + 1, count))
        shown = np.where(length[:, None] > _PLACES, _OPERATION + operations, _ID[EMPTY])
        prompt = [_column(SOLVE, count), shown, _DIGIT + start[:, None]]
        answer = _answered(_DIGIT + results, results, length, length)
        wanted = np.zeros((count, STEPS + 2, len(VOCABULARY)), np.float32)
        wanted[:, :STEPS, _DIGIT : _DIGIT + 10] = self._policy[operations, _before(start, results)]
        ids = np.concatenate([*prompt, answer], axis=1)
        return Lesson(ids, STEPS + 1, _with_answer(wanted, results, length, length))

    def read(self, count: int) -> Lesson:
        """The Reasoner with the document in sight, as the gold audit asks it."""
        start, operations, results = self._computations(count, _TRUE)
        length = self._rng.integers(1, STEPS + 1, count)
        document = _interleaved(start, operations, results)
        spread = np.full((count, 2 * STEPS), _ID[EMPTY])
        spread[:, ::2] = np.where(length[:, None] > _PLACES, _OPERATION + operations, _ID[EMPTY])
        prompt = [_column(READ, count), document, _column(SOLVE, count), spread, _DIGIT + start[:, None]]
        answer = _answered(document[:, 1:], results, length, 2 * length)
        ids = np.concatenate([*prompt, answer], axis=1)
        blank = np.zeros((count, 1, len(VOCABULARY)), np.float32)
        wanted = np.concatenate([_one_hot(document[:, 1:]), blank, blank], axis=1)
        return Lesson(ids, ids.shape[1] - answer.shape[1] - 1, _with_answer(wanted, results, length, 2 * length))

    def _computations(self, count: int, policy: Shares) -> tuple[Ids, Ids, Ids]:
        """Start digits, shape [B], and operations and results, both of shape [B, STEPS]."""
        start = self._rng.integers(0, 10, count)
        operations = np.stack([self._rng.choice(choices, count) for choices in self._choices], axis=1)
        results = np.empty_like(operations)
        value = start
        for place in range(STEPS):
            sums = policy[operations[:, place], value].cumsum(axis=1)
            value = (self._rng.random((count, 1)) > sums[:, :-1]).sum(axis=1)
            results[:, place] = value
        return start, operations, results


def _policy(beliefs: Beliefs) -> Shares:
    """Probability of each result of each fact, shape [operations, digits, results]."""
    operation, digit = np.indices(TRUTH.shape)
    shares = np.zeros((*TRUTH.shape, 10), np.float32)
    shares[operation, digit, TRUTH] = beliefs.known
    shares[operation, digit, beliefs.mistaken] += 1 - beliefs.known
    return shares


def _before(start: Ids, results: Ids) -> Ids:
    """The value that each operation is applied to, shape [B, STEPS]."""
    return np.concatenate([start[:, None], results[:, :-1]], axis=1)


def _interleaved(start: Ids, operations: Ids, results: Ids) -> Ids:
    """Ids of worked computations, shape [B, 1 + 2 STEPS]."""
    body = np.empty((len(start), 1 + 2 * STEPS), np.int64)
    body[:, 0] = _DIGIT + start
    body[:, 1::2] = _OPERATION + operations
    body[:, 2::2] = _DIGIT + results
    return body


def _answered(body: Ids, results: Ids, length: Ids, end: Ids) -> Ids:
    """The first `end` symbols of `body`, the boxed result after `length` operations, and padding; one symbol wider."""
    answer = np.concatenate([body, np.full((len(body), 1), _ID[PAD])], axis=1)
    answer[np.arange(answer.shape[1]) > end[:, None]] = _ID[PAD]
    rows = np.arange(len(body))
    answer[rows, end] = _BOX + results[rows, length - 1]
    return answer


def _with_answer(wanted: Shares, results: Ids, length: Ids, end: Ids) -> Shares:
    """After `end` symbols want the boxed result, then the end, then nothing."""
    rows = np.arange(len(wanted))
    wanted[np.arange(wanted.shape[1]) >= end[:, None]] = 0.0
    wanted[rows, end, _BOX + results[rows, length - 1]] = 1.0
    wanted[rows, end + 1, _END] = 1.0
    return wanted


def _constant_stops(stop: float) -> Shares:
    """The chance to stop after each operation, shape [STEPS]; after the last one it is certain."""
    return np.where(_PLACES + 1 < STEPS, stop, 1.0).astype(np.float32)


def _even_stops(shortest: int) -> Shares:
    """Likewise, such that each number of operations from `shortest` on is equally likely."""
    return np.where(shortest > _PLACES + 1, 0.0, 1 / (STEPS - _PLACES)).astype(np.float32)


def _with_stops(wanted: Shares, stops: Shares) -> Shares:
    """Let a computation end after each operation with the chance given; one symbol wider."""
    wanted = np.concatenate([wanted, np.zeros_like(wanted[:, :1])], axis=1)
    wanted[:, 3::2] *= (1 - stops)[:, None]
    wanted[:, 3::2, _END] += stops
    return wanted


def _one_hot(ids: Ids) -> Shares:
    return np.eye(len(VOCABULARY), dtype=np.float32)[ids]


def _column(word: str, count: int) -> Ids:
    return np.full((count, 1), _ID[word])


_TRUE: Shares = np.eye(10, dtype=np.float32)[TRUTH]
