"""Which documents an iteration is about.

Uniformly as in the paper, or until all are used up, or by weights of sources, or by what the Challenger earned with
them. Every draw depends on its arguments alone, so a resumed run sees the documents that it would have seen. Where no
scores have a say, how often each was used can be told at any time without having been counted.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from fnmatch import fnmatchcase

import numpy as np
from numpy.typing import NDArray

from spice.config import RecipeConfig
from spice.errors import ConfigError
from spice.selfplay.sampling import draw_documents
from spice.selfplay.types import Document

_STREAM = 0x5E1EC7
_FRONTIER_STREAM = 0xF407
_UNIFORM_SHARE = 0.25  # of the frontier's probability


def select(
    documents: Sequence[Document],
    recipe: RecipeConfig,
    seed: int,
    iteration: int,
    scores: NDArray[np.float64] | None = None,
) -> list[int]:
    """Positions of the documents of an iteration, shape [batch_documents].

    Args:
        documents: the corpus, at least one.
        recipe: `sampling`, `mixture` and `batch_documents`.
        seed: of the run.
        iteration: of the run, from 1.
        scores: how promising each document is, at least 0, shape [documents]; `frontier` alone asks for them, and
            without them it prefers none.

    Raises:
        ConfigError: no document matches a pattern of the mixture.
    """
    batch = recipe.batch_documents
    if recipe.sampling == "frontier":
        known = np.zeros(len(documents)) if scores is None else scores
        return draw_frontier(frontier_probabilities(known), batch, seed, iteration)
    if recipe.sampling == "uniform" and not recipe.mixture:
        return draw_documents(len(documents), batch, seed, iteration)
    groups, weights = _groups(documents, recipe.mixture)
    before = batch * (iteration - 1)
    turns = _turns(weights, before + batch)
    taken = np.bincount(turns[:before], minlength=len(groups)).tolist()
    orders: dict[tuple[int, int], list[int]] = {}
    chosen = []
    for group in turns[before:].tolist():
        size = len(groups[group])
        epoch, place = divmod(taken[group], size)
        if (group, epoch) not in orders:
            orders[group, epoch] = _order(size, epoch, group, seed)
        chosen.append(groups[group][orders[group, epoch][place]])
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


def use_counts(documents: Sequence[Document], recipe: RecipeConfig, seed: int, iterations: int) -> Counter[int]:
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
    for iteration in range(1, iterations + 1):
        found.update(select(documents, recipe, seed, iteration))
    return found


def within_budget(documents: Sequence[Document], budget: int) -> list[Document]:
    """The segments of so many documents, or of all if there are no more.

    Chosen by the hash of their content, so a larger budget adds documents and exchanges none. 0 takes all.
    """
    wanted = {_document(one) for one in documents}
    if 0 < budget < len(wanted):
        wanted = set(sorted(wanted, key=lambda one: hashlib.sha256(one.encode()).digest())[:budget])
    return [one for one in documents if _document(one) in wanted]


def _groups(documents: Sequence[Document], mixture: Sequence[tuple[str, float]]) -> tuple[list[list[int]], list[float]]:
    """Positions by the first pattern of the mixture that their file matches; all together if there is no mixture."""
    if not mixture:
        return [list(range(len(documents)))], [1.0]
    groups: list[list[int]] = [[] for _ in mixture]
    for position, document in enumerate(documents):
        for group, (pattern, _) in zip(groups, mixture, strict=True):
            if fnmatchcase(document.source, pattern):
                group.append(position)
                break
    for group, (pattern, _) in zip(groups, mixture, strict=True):
        if not group:
            raise ConfigError(f"recipe.mixture: no training document's file matches {pattern}, or an earlier one did.")
    return groups, [weight for _, weight in mixture]


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


def _order(size: int, epoch: int, group: int, seed: int) -> list[int]:
    """The order in which a group is drawn without replacement; another one each time that it was exhausted."""
    order: list[int] = np.random.default_rng([seed, epoch, group, _STREAM]).permutation(size).tolist()
    return order


def _document(segment: Document) -> str:
    return segment.id.rpartition("-")[0] or segment.id
