"""Worlds of worked arithmetic: what is true in them, and what a model believes before training.

A fact is the result of one operation on one digit: 480 in all. The warm start
knows each with a probability of its own, and else holds one fixed misconception.
So a fact that it mostly gets wrong is wrong in every vote among its own answers,
and only a label from outside can set it right.

In the world `ladder` each place of a document has its own kind of operation, so
easy questions never touch the facts that hard ones need. In the world `length`
every kind stands at every place: a question is hard because it is long and for no
other reason, and whoever asks short ones meets all facts.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from spice.errors import ConfigError
from spice.selfplay.ladder import DIGITS, KINDS, OPERANDS, OPERATIONS, STEPS, Computation, is_reserved

_FACTORS = MappingProxyType({"x": (1, 1), "3x": (3, 1), "7x": (7, 1), "9x": (9, 1), "x^3": (1, 3), "3x^3": (3, 3)})
_CONCENTRATION = 2.5
_SURELY = 0.05


@dataclass(frozen=True)
class World:
    """A language of documents and the warm start's place in it.

    Attributes:
        name: what it is called on the command line.
        places: the kinds of operation that may stand at each of the `STEPS` places of a document.
        known: mean probability that the warm start knows a fact of a kind.
        stop: chance that the warm start's Challenger stops after each operation; so it asks easy questions mostly.
    """

    name: str
    places: tuple[tuple[str, ...], ...]
    known: Mapping[str, float]
    stop: float = 0.3


LADDER = World(
    "ladder",
    tuple((kind,) for kind in ("x", "x", "3x", "3x", "7x", "7x", "9x", "9x", "x^3", "3x^3")),
    MappingProxyType({"x": 0.9, "3x": 0.75, "7x": 0.6, "9x": 0.6, "x^3": 0.7, "3x^3": 0.7}),
)
LENGTH = World("length", (KINDS,) * STEPS, MappingProxyType(dict.fromkeys(KINDS, 0.75)))
WORLDS = MappingProxyType({world.name: world for world in (LADDER, LENGTH)})


@dataclass(frozen=True)
class Beliefs:
    """What a warm start holds of each fact.

    Attributes:
        known: probability that it gives the true result, shape [operations, digits].
        mistaken: the digit that it gives otherwise, never the true one, shape [operations, digits].
    """

    known: NDArray[np.float64]
    mistaken: NDArray[np.int64]


def find(name: str) -> World:
    """The world of that name. Raises `ConfigError`."""
    if name not in WORLDS:
        raise ConfigError(f"there is no world {name!r}; worlds are {', '.join(WORLDS)}")
    return WORLDS[name]


def apply(digit: int, operation: str) -> int:
    """The true result of an operation on a digit."""
    kind, _, operand = operation.rpartition("+")
    factor, power = _FACTORS[kind]
    return int((factor * digit**power + int(operand)) % 10)


def solve(question: str) -> int:
    """The true answer to a question, start digit and operations."""
    start, *operations = question.split()
    value = int(start)
    for operation in operations:
        value = apply(value, operation)
    return value


def work_out(start: str, operations: Sequence[str]) -> Computation:
    """The computation with its true results."""
    results = []
    value = int(start)
    for operation in operations:
        value = apply(value, operation)
        results.append(str(value))
    return Computation(start, tuple(operations), tuple(results))


def documents(world: World, count: int, rng: random.Random, *, reserved: bool) -> list[Computation]:
    """Draw distinct documents, all of whose questions are kept for the test or none."""
    found: dict[str, Computation] = {}
    while len(found) < count:
        operations = [f"{rng.choice(kinds)}+{rng.randrange(OPERANDS)}" for kinds in world.places]
        made = work_out(rng.choice(DIGITS), operations)
        if is_reserved(made.question) is reserved:
            found[made.text] = made
    return list(found.values())


def beliefs(world: World, seed: int) -> Beliefs:
    """Draw what the warm start of this seed knows."""
    rng = np.random.default_rng([seed, len(OPERATIONS)])
    means = np.repeat([world.known[kind] for kind in KINDS], OPERANDS)[:, None]
    known = rng.beta(_CONCENTRATION * means, _CONCENTRATION * (1 - means), (len(OPERATIONS), 10))
    true = TRUTH[np.arange(len(OPERATIONS))]
    mistaken = (true + rng.integers(1, 10, true.shape)) % 10
    return Beliefs(np.clip(known, _SURELY, 1 - _SURELY), mistaken)


TRUTH: NDArray[np.int64] = np.array([[apply(digit, operation) for digit in range(10)] for operation in OPERATIONS])
"""The true result of each operation on each digit, shape [operations, digits]."""
