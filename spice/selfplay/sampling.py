"""Every draw of the loop that is not a token (paper section 3)."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np

# Sets the draw of documents apart from other generators made of the same seed and iteration.
_DOCUMENTS_STREAM = 0xD0C


def draw_documents(n_documents: int, batch: int, seed: int, iteration: int) -> list[int]:
    """Draw the documents of an iteration uniformly.

    No document comes twice, unless the batch is larger than the corpus: then
    each comes equally often, up to one. The draw depends on the arguments alone,
    so that a resumed run sees the documents that it would have seen.

    Args:
        n_documents: size of the corpus, at least 1.
        batch: how many to draw, B.
        seed: of the run.
        iteration: of the run, from 0 or 1 alike.

    Returns:
        Positions in the corpus, in random order, shape [batch].
    """
    rng = np.random.default_rng([seed, iteration, _DOCUMENTS_STREAM])
    rounds = -(-batch // n_documents)
    drawn = np.concatenate([rng.permutation(n_documents) for _ in range(rounds)])[:batch]
    return [int(position) for position in drawn]


def keep_attempts(valid: Sequence[bool], group: int, rng: random.Random) -> list[int]:
    """Keep a group of a document's attempts at the valid:invalid ratio at which they were sampled.

    The number of valid ones is rounded by largest remainder, a tie in favour of
    the valid; but where any attempt was valid, at least one is kept, since a
    document that can be asked about should not be lost to rounding.

    Args:
        valid: for each attempt, in the order sampled, whether it was valid.
        group: how many to keep; all are kept if there are no more.
        rng: draws which ones.

    Returns:
        Positions in `valid`, ascending.
    """
    accepted = [position for position, flag in enumerate(valid) if flag]
    rejected = [position for position, flag in enumerate(valid) if not flag]
    size = min(group, len(valid))
    if size == 0:
        return []
    # Whole numbers: size * share rounded half up, without the rounding errors of a float.
    n_valid = (2 * size * len(accepted) + len(valid)) // (2 * len(valid))
    n_valid = max(n_valid, min(1, len(accepted)))
    return sorted(rng.sample(accepted, n_valid) + rng.sample(rejected, size - n_valid))


def choose_task(valid: Sequence[bool], rng: random.Random) -> int | None:
    """Draw the one valid attempt of a document that trains the Reasoner, or `None` if there is none."""
    accepted = [position for position, flag in enumerate(valid) if flag]
    return rng.choice(accepted) if accepted else None
