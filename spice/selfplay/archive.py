"""Earlier questions, remembered as MinHash signatures, so that self-play that repeats itself is seen."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from spice.selfplay.answers import fold

_HASHES = 32
_BANDS = 8
_FIRST_SIZE = 4096
_SHINGLE = 4
_CHUNK = 2**16  # signatures that are hashed at a time when the archive grows
_draws = np.random.default_rng(0)
# Multiply-shift hashing: odd factors, sums modulo 2^64, upper 32 bits.
_FACTORS = _draws.integers(0, 2**63, _HASHES, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
_OFFSETS = _draws.integers(0, 2**63, _HASHES, dtype=np.uint64)


class QuestionArchive:
    """The newest questions of a run, up to a capacity, found again by locality-sensitive hashing.

    A signature is cut into bands; questions that agree in a band share a bucket,
    and each bucket knows the newest question in it. So a look-up compares eight
    signatures, however many are remembered. A question whose buckets nobody else came
    to share is found again with a probability of 1 - (1 - J^4)^8 at Jaccard similarity
    J: 0.98 at 0.8. Where all questions are of few words buckets are shared, and near
    copies of old ones are missed; equal ones never, since those are looked up apart.

    Its content depends only on the questions that were added and their order,
    so a resumed run rebuilds it from the tasks of earlier iterations.
    """

    def __init__(self, capacity: int = 2**20, threshold: float = 0.8):
        """Make an empty archive.

        Args:
            capacity: questions remembered, at 300 bytes each; beyond it the oldest are forgotten. Memory is taken as it
                fills.
            threshold: Jaccard similarity of character 4-grams, as estimated, from which two questions are near
                duplicates. The estimate's standard error is at most 0.09.
        """
        self._capacity = capacity
        self._added = 0
        self._threshold = threshold
        self._signatures = np.zeros((min(capacity, _FIRST_SIZE), _HASHES), dtype=np.uint32)
        self._buckets = self._hashed()
        self._places: dict[int, int] = {}
        self._codes = [0] * len(self._signatures)

    def __len__(self) -> int:
        """Count the questions remembered."""
        return min(self._added, len(self._signatures))

    def seen(self, question: str) -> bool:
        """Say whether a near duplicate of this question is in the archive."""
        if _code(question) in self._places:
            return True
        signature = _signature(question)
        places = self._buckets[np.arange(_BANDS), self._slots(signature)]
        candidates = np.unique(places[places > 0]) - 1
        equal = np.count_nonzero(self._signatures[candidates] == signature, axis=1)
        return bool((equal >= self._threshold * _HASHES).any())

    def add(self, questions: Sequence[str]) -> None:
        """Remember questions, in order."""
        for question in questions:
            if self._added == len(self._signatures) < self._capacity:
                self._grow()
            place = self._added % len(self._signatures)
            signature = _signature(question)
            self._signatures[place] = signature
            self._remember(_code(question), place)
            # A bucket that still names a place which was overwritten finds another signature there, and no match.
            self._buckets[np.arange(_BANDS), self._slots(signature)] = place + 1
            self._added += 1

    def _remember(self, code: int, place: int) -> None:
        """Enter a question's own code at a place, and forget the one that was there."""
        if self._places.get(self._codes[place]) == place:
            del self._places[self._codes[place]]
        self._codes[place] = code
        self._places[code] = place

    def _grow(self) -> None:
        size = min(2 * len(self._signatures), self._capacity)
        self._codes += [0] * (size - len(self._codes))
        self._signatures = np.concatenate(
            [self._signatures, np.zeros((size - len(self._signatures), _HASHES), dtype=np.uint32)]
        )
        self._buckets = self._hashed()

    def _hashed(self) -> NDArray[np.uint32]:
        """Buckets for all that is remembered, twice as many in each band as there is room for questions."""
        self._n_buckets = 2 * len(self._signatures)
        buckets = np.zeros((_BANDS, self._n_buckets), dtype=np.uint32)
        # In the order in which they were added: of several questions in a bucket, numpy keeps the last.
        for start in range(0, len(self), _CHUNK):
            slots = self._slots(self._signatures[start : min(start + _CHUNK, len(self))])
            buckets[np.arange(_BANDS), slots] = np.arange(start + 1, start + 1 + len(slots), dtype=np.uint32)[:, None]
        return buckets

    def _slots(self, signatures: NDArray[np.uint32]) -> NDArray[np.uint64]:
        """The bucket of each band, of signatures of shape [..., hashes]; shape [..., bands]."""
        rows = signatures.reshape(*signatures.shape[:-1], _BANDS, -1).astype(np.uint64)
        mixed: NDArray[np.uint64] = (rows * _FACTORS[: rows.shape[-1]]).sum(axis=-1, dtype=np.uint64) >> np.uint64(32)
        return mixed % np.uint64(self._n_buckets)


def _code(text: str) -> int:
    """64 bits of a hash of the text, case and white space aside."""
    return int.from_bytes(hashlib.blake2b(fold(text).encode(), digest_size=8).digest(), "big")


# A question is looked for and, at the end of its iteration, remembered.
@lru_cache(maxsize=4096)
def _signature(text: str) -> NDArray[np.uint32]:
    """Smallest hash of the text's shingles under each hash function, shape [_HASHES]."""
    text = fold(text)
    shingles = {text[i : i + _SHINGLE] for i in range(max(len(text) - _SHINGLE + 1, 1))}
    codes = np.array([zlib.crc32(shingle.encode()) for shingle in shingles], dtype=np.uint64)
    hashes = (codes[:, None] * _FACTORS + _OFFSETS) >> np.uint64(32)
    smallest: NDArray[np.uint32] = hashes.min(axis=0).astype(np.uint32)
    return smallest
