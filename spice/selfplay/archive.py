"""Earlier questions, remembered as MinHash signatures, so that self-play that repeats itself is seen."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from spice.selfplay.answers import fold

_HASHES = 32
_SHINGLE = 4
_draws = np.random.default_rng(0)
# Multiply-shift hashing: odd factors, sums modulo 2^64, upper 32 bits.
_FACTORS = _draws.integers(0, 2**63, _HASHES, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
_OFFSETS = _draws.integers(0, 2**63, _HASHES, dtype=np.uint64)


class QuestionArchive:
    """The newest questions of a run, up to a capacity.

    Its content depends only on the questions that were added and their order,
    so a resumed run rebuilds it from the tasks of earlier iterations.
    """

    def __init__(self, capacity: int = 65_536, threshold: float = 0.8):
        """Make an empty archive.

        Args:
            capacity: questions remembered, at 128 bytes each; beyond it the oldest are forgotten.
            threshold: Jaccard similarity of character 4-grams, as estimated, from which two questions are near
                duplicates. The estimate's standard error is at most 0.09.
        """
        self._signatures = np.zeros((capacity, _HASHES), dtype=np.uint32)
        self._added = 0
        self._threshold = threshold

    def __len__(self) -> int:
        """Count the questions remembered."""
        return min(self._added, len(self._signatures))

    def seen(self, question: str) -> bool:
        """Say whether a near duplicate of this question is in the archive."""
        if not len(self):
            return False
        equal = np.count_nonzero(self._signatures[: len(self)] == _signature(question), axis=1)
        return bool(equal.max() >= self._threshold * _HASHES)

    def add(self, questions: Sequence[str]) -> None:
        """Remember questions, in order."""
        for question in questions:
            self._signatures[self._added % len(self._signatures)] = _signature(question)
            self._added += 1


def _signature(text: str) -> NDArray[np.uint32]:
    """Smallest hash of the text's shingles under each hash function, shape [_HASHES]."""
    text = fold(text)
    shingles = {text[i : i + _SHINGLE] for i in range(max(len(text) - _SHINGLE + 1, 1))}
    codes = np.array([zlib.crc32(shingle.encode()) for shingle in shingles], dtype=np.uint64)
    hashes = (codes[:, None] * _FACTORS + _OFFSETS) >> np.uint64(32)
    smallest: NDArray[np.uint32] = hashes.min(axis=0).astype(np.uint32)
    return smallest
