"""Which documents an iteration is about.

Uniformly as in the paper, or until all are used up, or by weights of sources, or by what the Challenger earned with
them. Every draw depends on its arguments alone, so a resumed run sees the documents that it would have seen. Where no
scores have a say, how often each was used can be told at any time without having been counted.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np
from numpy.typing import NDArray

from spice.config import RecipeConfig
from spice.errors import ConfigError
from spice.selfplay.sampling import draw_documents
from spice.selfplay.types import Document, Documents

_STREAM = 0x5E1EC7
_FRONTIER_STREAM = 0xF407
_UNIFORM_SHARE = 0.25  # of the frontier's probability

Groups = Sequence[NDArray[np.int64]]
"""Positions of documents by the pattern of the mixture that they belong to."""


@dataclass(frozen=True)
class Chosen:
    """Some of the documents, by position, none of them held.

    Attributes:
        documents: all.
        positions_N: which of them, in order.
    """

    documents: Documents
    positions_N: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.positions_N)

    def __getitem__(self, position: int) -> Document:
        return self.documents[int(self.positions_N[position])]

    def __iter__(self) -> Iterator[Document]:
        return (self.documents[position] for position in self.positions_N.tolist())


def select(
    documents: Documents,
    recipe: RecipeConfig,
    seed: int,
    iteration: int,
    scores: NDArray[np.float64] | None = None,
    groups: Groups | None = None,
) -> list[int]:
    """Positions of the documents of an iteration, shape [batch_documents].

    Args:
        documents: the corpus, at least one.
        recipe: `sampling`, `mixture` and `batch_documents`.
        seed: of the run.
        iteration: of the run, from 1.
        scores: how promising each document is, at least 0, shape [documents]; `frontier` alone asks for them, and
            without them it prefers none.
        groups: as `grouped` gives them, where somebody knows; else all documents are read for them.

    Raises:
        ConfigError: no document matches a pattern of the mixture.
    """
    batch = recipe.batch_documents
    if recipe.sampling == "frontier":
        known = np.zeros(len(documents)) if scores is None else scores
        return draw_frontier(frontier_probabilities(known), batch, seed, iteration)
    if recipe.sampling == "uniform" and not recipe.mixture:
        return draw_documents(len(documents), batch, seed, iteration)
    groups = grouped(documents, recipe.mixture) if groups is None else groups
    weights = [weight for _, weight in recipe.mixture] or [1.0]
    before = batch * (iteration - 1)
    turns = _turns(weights, before + batch)
    taken = np.bincount(turns[:before], minlength=len(groups)).tolist()
    orders: dict[tuple[int, int], NDArray[np.int64]] = {}
    chosen = []
    for group in turns[before:].tolist():
        size = len(groups[group])
        epoch, place = divmod(taken[group], size)
        if (group, epoch) not in orders:
            orders[group, epoch] = _order(size, epoch, group, seed)
        chosen.append(int(groups[group][orders[group, epoch][place]]))
        taken[group] += 1
    return chosen


def frontier_probabilities(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """How probable each document is as the first that is drawn: a quarter uniformly, the rest in proportion to scores.

    This sampler is ours and not the paper's, which draws uniformly. It is a
    bandit with exponential forgetting: documents are its arms, the Challenger's
    reward is the pay, and the scores are optimistic about what is not known
    (see `spice.selfplay.frontier`). The uniform part keeps every document in reach.

    Args:
        scores: finite, at least 0, shape [documents], at least one.

    Returns:
        Above 0, sum 1, shape [documents]; all equal if all scores are 0.
    """
    even = np.full(len(scores), 1.0 / len(scores))
    top = scores.max()
    if top == 0.0:
        return even
    relative = scores / top
    mixed: NDArray[np.float64] = _UNIFORM_SHARE * even + (1.0 - _UNIFORM_SHARE) * relative / relative.sum()
    return mixed


def draw_frontier(probabilities: NDArray[np.float64], batch: int, seed: int, iteration: int) -> list[int]:
    """Draw the documents of an iteration one after the other, each in proportion among those that are left.

    No document comes twice, unless the batch is larger than the corpus: then
    each comes equally often, up to one.

    Args:
        probabilities: above 0, shape [documents].
        batch: how many to draw, B.
        seed: of the run.
        iteration: of the run, from 1.

    Returns:
        Positions in the order drawn, shape [batch].
    """
    rng = np.random.default_rng([seed, iteration, _FRONTIER_STREAM])
    size = len(probabilities)
    # Of exponential clocks with these rates, the order in which they ring is that of draws without replacement.
    rounds = [np.argsort(rng.exponential(size=size) / probabilities, kind="stable") for _ in range(-(-batch // size))]
    return [int(position) for position in np.concatenate(rounds)[:batch]]


def use_counts(documents: Documents, recipe: RecipeConfig, seed: int, iterations: int) -> Counter[int]:
    """How often each document, by its position, was drawn in the first iterations of a run.

    Raises:
        ConfigError: the draws depend on rewards too, or no document matches a pattern of the mixture.
    """
    if recipe.sampling == "frontier":
        raise ConfigError(
            "recipe.sampling=frontier draws by what was earned, so the configuration does not tell how often a "
            "document was used. Count the documents in the run's tasks."
        )
    found: Counter[int] = Counter()
    groups = grouped(documents, recipe.mixture)
    for iteration in range(1, iterations + 1):
        found.update(select(documents, recipe, seed, iteration, groups=groups))
    return found


def within_budget(documents: Documents, budget: int) -> Documents:
    """The segments of so many documents, or of all if there are no more.

    Chosen by the hash of their content, so a larger budget adds documents and exchanges none. 0 takes all.
    """
    if budget == 0:
        return documents
    wanted = _least((_document(one) for one in documents), budget)
    return matching(documents, (_document(one) in wanted for one in documents))


def matching(documents: Documents, wanted: Iterable[bool]) -> Documents:
    """The documents that are wanted, in their order."""
    positions_N = np.flatnonzero(np.fromiter(wanted, np.bool_, len(documents)))
    return documents if len(positions_N) == len(documents) else Chosen(documents, positions_N)


def grouped(documents: Documents, mixture: Sequence[tuple[str, float]]) -> Groups:
    """Positions by the first pattern of the mixture that their file matches; all together if there is no mixture.

    Raises:
        ConfigError: no document is left for a pattern.
    """
    if not mixture:
        return [np.arange(len(documents), dtype=np.int64)]
    patterns = [pattern for pattern, _ in mixture]
    firsts_N = np.fromiter((_first(patterns, one.source) for one in documents), np.int64, len(documents))
    groups = [np.flatnonzero(firsts_N == place) for place in range(len(patterns))]
    for group, pattern in zip(groups, patterns, strict=True):
        if not len(group):
            raise ConfigError(f"recipe.mixture: no training document's file matches {pattern}, or an earlier one did.")
    return groups


def _first(patterns: Sequence[str], source: str) -> int:
    """The place of the first pattern that matches, -1 if none does."""
    return next((place for place, pattern in enumerate(patterns) if fnmatchcase(source, pattern)), -1)


def _turns(weights: Sequence[float], count: int) -> NDArray[np.int64]:
    """Which group has its turn at each draw, shape [count]: at any time each has had its share, to within one draw."""
    if len(weights) == 1:
        return np.zeros(count, np.int64)
    share = np.array(weights) / sum(weights)
    credit, turns = np.zeros(len(weights)), np.zeros(count, np.int64)
    for place in range(count):
        credit += share
        turns[place] = int(np.argmax(credit))
        credit[turns[place]] -= 1.0
    return turns


def _order(size: int, epoch: int, group: int, seed: int) -> NDArray[np.int64]:
    """The order in which a group is drawn without replacement; another one each time that it was exhausted."""
    return np.random.default_rng([seed, epoch, group, _STREAM]).permutation(size)


def _least(names: Iterable[str], count: int) -> set[str]:
    """Those names of which the hashes are the least; no more than twice as many are held."""
    found: dict[bytes, str] = {}
    for name in names:
        found[hashlib.sha256(name.encode()).digest()] = name
        if len(found) > 2 * count:
            found = dict(sorted(found.items())[:count])
    return set(dict(sorted(found.items())[:count]).values())


def _document(segment: Document) -> str:
    return segment.id.rpartition("-")[0] or segment.id
