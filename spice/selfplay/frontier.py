"""What the Challenger earned lately with each document, for the sampler that draws the promising ones more often."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from spice.selfplay.types import Documents

_KEPT = 0.95  # of what is known, from one iteration to the next; half of it is forgotten after 13.5
_PRIOR = 0.5  # observations for which optimism counts


class Frontier:
    """Rewards by document, forgotten exponentially as the policy that they were measured with goes away.

    Its content depends only on the rewards that were added and their order, so
    a resumed run rebuilds it from the tasks of earlier iterations.
    """

    def __init__(self, documents: Documents) -> None:
        """Begin without knowing anything of any of the documents."""
        self._positions = {document.id: position for position, document in enumerate(documents)}
        self._earned = np.zeros(len(documents))
        self._observations = np.zeros(len(documents))

    def add(self, rewards: Iterable[tuple[str, float]]) -> None:
        """Enter one iteration.

        Args:
            rewards: (document id, the Challenger's reward) of each attempt. An attempt that was penalised counts as
                one that earned nothing. Documents that are not there any more are passed over.
        """
        found: defaultdict[int, list[float]] = defaultdict(list)
        for document, reward in rewards:
            if document in self._positions:
                found[self._positions[document]].append(max(reward, 0.0))
        self._earned *= _KEPT
        self._observations *= _KEPT
        for position, earned in found.items():
            self._earned[position] += fmean(earned)
            self._observations[position] += 1.0

    def scores(self) -> NDArray[np.float64]:
        """How promising each document is, shape [documents], at least 0.

        The mean reward, pulled towards that of the best document by half an
        observation: what was never drawn counts as good as the best, and what
        was drawn long ago comes near it again.
        """
        seen = self._observations > 0
        best = float((self._earned[seen] / self._observations[seen]).max()) if seen.any() else 0.0
        scores: NDArray[np.float64] = (self._earned + _PRIOR * best) / (self._observations + _PRIOR)
        return scores
