"""How far something that may rise while scores rise has changed, with its interval."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from spice.evaluation import statistics
from spice.evaluation.schema import SideEffect

Measure = Callable[[NDArray[np.float64]], float]
"""Of one model's answers, given how much each item counts, shape [items]."""


def side_effect(
    base: Measure, candidate: Measure, measure: str, clusters: Sequence[str], samples: int, rng: np.random.Generator
) -> SideEffect:
    """Candidate minus base, paired; whole clusters are resampled.

    Args:
        base: measures the answers of the base.
        candidate: measures those of the candidate.
        measure: what that is, in words.
        clusters: of each item, shape [items].
        samples: of the bootstrap.
        rng: draws them.
    """
    spread = statistics.bootstrap(lambda weights_N: candidate(weights_N) - base(weights_N), clusters, samples, rng)
    ones_N = np.ones(len(clusters))
    before, after = base(ones_N), candidate(ones_N)
    return SideEffect(
        n=len(clusters),
        clusters=len(set(clusters)),
        base=before,
        candidate=after,
        value=after - before,
        low=spread.low,
        high=spread.high,
        upper_bound=spread.upper_bound,
        measure=measure,
    )
