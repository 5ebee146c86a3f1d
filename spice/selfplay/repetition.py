"""R-Zero's repetition penalty: a question pays for every other question of its batch that is like it (section 3.2)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from spice.selfplay.similarity import split_words

MAX_DISTANCE = 0.5
_ORDER = 4
# What a missing n-gram counts as (Chen and Cherry, 2014, method 1), as in R-Zero's own code.
_SMOOTHING = 0.1


def repetition_penalties(questions: Sequence[str]) -> list[float]:
    """The share of the batch that is in each question's own cluster.

    Questions are clustered by agglomeration with average linkage, at distance
    1 - BLEU, cut at 0.5. A question that is like no other pays 1/B all the same.

    Args:
        questions: of one batch, B of them.

    Returns:
        One penalty in (0, 1] per question.
    """
    n = len(questions)
    if n < 2:
        return [1.0] * n
    words = [split_words(question) for question in questions]
    distances = np.zeros((n, n))
    for i in range(n):
        for j in range(i):
            # BLEU is not symmetric; the mean of both directions does not depend on the order of the batch.
            distances[i, j] = distances[j, i] = 1.0 - (bleu(words[i], words[j]) + bleu(words[j], words[i])) / 2
    clusters = fcluster(linkage(squareform(distances), "average"), MAX_DISTANCE, "distance").tolist()
    sizes = Counter(clusters)
    return [sizes[cluster] / n for cluster in clusters]


def bleu(candidate: Sequence[str], reference: Sequence[str]) -> float:
    """BLEU-4 of one sentence against one reference (Papineni et al., 2002), smoothed; in [0, 1].

    Equal sentences score 1, also those of fewer than four words: orders that a candidate is too short for are left out.
    """
    if not candidate or not reference:
        return 0.0
    words, others = tuple(candidate), tuple(reference)
    orders = range(1, min(_ORDER, len(words)) + 1)
    logs = [math.log(_precision(words, others, n)) for n in orders]
    brevity = min(0.0, 1.0 - len(reference) / len(candidate))
    return math.exp(brevity + sum(logs) / len(logs))


def _precision(candidate: tuple[str, ...], reference: tuple[str, ...], n: int) -> float:
    grams, known = _grams(candidate, n), _grams(reference, n)
    matched = sum(min(count, known[gram]) for gram, count in grams.items() if gram in known)
    return (matched or _SMOOTHING) / grams.total()


# Every question of a batch is held against every other.
@lru_cache(maxsize=4096)
def _grams(words: tuple[str, ...], n: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))
