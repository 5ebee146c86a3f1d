"""Calibration under forced choice: does the model know when it is right?

The confidence of an answer is the probability that the model gave it among the
options permitted. Self-play rewards certainty, so this is watched as a side
effect: the Brier score (mean squared distance of confidence and outcome) and
the expected calibration error over ten bins of equal width (Guo et al. 2017).
Lower is better in both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from spice.evaluation.effects import side_effect
from spice.evaluation.items import ItemResult, Suite
from spice.evaluation.schema import SideEffect

_BINS = 10
Score = Callable[[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]], float]
"""Of confidences, outcomes and weights, shape [items] each."""


def calibration(
    suite: Suite,
    base: Sequence[ItemResult],
    candidate: Sequence[ItemResult],
    samples: int,
    rng: np.random.Generator,
) -> dict[str, SideEffect]:
    """Both scores of a forced suite, with the interval of the change; clusters are resampled.

    Returns:
        By name; nothing if an answer has no confidence.
    """
    if any(result.confidence is None for result in (*base, *candidate)):
        return {}
    clusters = [item.cluster for item in suite.items]
    return {
        "calibration_brier": _change(brier, "Brier score of forced choice", base, candidate, clusters, samples, rng),
        "calibration_ece": _change(ece, "expected calibration error, 10 bins", base, candidate, clusters, samples, rng),
    }


def brier(confidence_N: NDArray[np.float64], correct_N: NDArray[np.float64], weights_N: NDArray[np.float64]) -> float:
    """Weighted mean squared distance of confidence and outcome, in [0, 1]."""
    return float(np.average((confidence_N - correct_N) ** 2, weights=weights_N))


def ece(confidence_N: NDArray[np.float64], correct_N: NDArray[np.float64], weights_N: NDArray[np.float64]) -> float:
    """Weighted mean, over bins of equal width, of the distance of confidence and share of right answers, in [0, 1]."""
    bins_N = np.minimum((confidence_N * _BINS).astype(np.int64), _BINS - 1)
    gaps_B = np.bincount(bins_N, weights=weights_N * (confidence_N - correct_N), minlength=_BINS)
    return float(np.abs(gaps_B).sum() / weights_N.sum())


def _change(
    score: Score,
    measure: str,
    base: Sequence[ItemResult],
    candidate: Sequence[ItemResult],
    clusters: Sequence[str],
    samples: int,
    rng: np.random.Generator,
) -> SideEffect:
    before, after = partial(score, *_columns(base)), partial(score, *_columns(candidate))
    return side_effect(before, after, measure, clusters, samples, rng)


def _columns(results: Sequence[ItemResult]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    confidence_N = np.asarray([result.confidence for result in results], dtype=np.float64)
    return confidence_N, np.asarray([result.correct for result in results], dtype=np.float64)
