"""Screens that need more than one document: payloads that are repeated, and files that are unlike all others.

Poisoning works by repetition: the same planted passage in many documents, each
otherwise its own. And it comes from somewhere: a source whose text follows
other statistics than the rest, such as gibberish, another language or encoded
data. Neither is proof, so what is found is quarantined with its reason, for a
person to look at and to admit.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

PASSAGE_WORDS = 24
MIN_DOCUMENTS = 20
_BUCKETS = 4096
_SAMPLE_CHARS = 20_000
_MIN_CHARS = 200
_SCALE = 1.4826  # makes the median absolute deviation a standard deviation where values are normal
_MIN_SPREAD = 0.05  # nats; corpora of one hand vary less, and not every word of theirs is an outlier
_WORD = re.compile(r"\w+")


@dataclass
class RepeatedPassages:
    """Counts in how many documents each passage of 24 words stands.

    Boundaries of passages are set by the words themselves, so the same passage is found whatever stands before it.
    Documents of one author repeat phrases and footers; a passage counts only where the rest of the document is
    another one, which holds after exact and near duplicates are gone.

    Args:
        documents: from how many documents on a passage is a payload.
    """

    documents: int
    _holders: Counter[bytes] = field(default_factory=Counter)

    def add(self, text: str) -> None:
        """Take in one document."""
        self._holders.update({key for key, _ in _passages(text)})

    def find(self, text: str) -> tuple[str, str] | None:
        """Why a document must be quarantined, with the passage, once all have been taken in."""
        for key, passage in _passages(text):
            if (count := self._holders[key]) >= self.documents:
                return f"holds a passage that stands in {count} documents", passage
        return None


@dataclass(frozen=True)
class Profile:
    """How often a text has each trigram of letters, in buckets, shape [buckets]; enough to compare sources."""

    counts_B: NDArray[np.float64]

    @classmethod
    def of(cls, text: str) -> Profile:
        """The profile of a text, of a part of it if it is long."""
        folded = " ".join(text[:_SAMPLE_CHARS].casefold().split())
        codes = np.frombuffer(folded.encode("utf-32-le", "replace"), dtype="<u4").astype(np.uint64)
        if len(codes) < 3:
            return cls(np.zeros(_BUCKETS))
        mixed = (codes[:-2] * np.uint64(0x9E3779B1) + codes[1:-1]) * np.uint64(0x85EBCA6B) + codes[2:]
        mixed ^= mixed >> np.uint64(29)
        return cls(np.bincount((mixed % np.uint64(_BUCKETS)).astype(np.int64), minlength=_BUCKETS).astype(np.float64))

    @property
    def size(self) -> float:
        """Trigrams counted."""
        return float(self.counts_B.sum())


def outliers(profiles: Mapping[str, Profile], threshold: float) -> dict[str, float]:
    """Sources whose trigrams the rest of the corpus predicts much worse than those of other sources.

    For each source, the cross-entropy of its trigrams under all *other* sources, in nats; a robust z-score of that
    (median and median absolute deviation) above the threshold is an outlier. Each source has the same weight, so that
    one large source does not define what is usual.

    Args:
        profiles: by source; those of under 200 trigrams are not judged.
        threshold: of the z-score.

    Returns:
        z-score of each outlier; none where there are fewer than 20 sources to judge by.
    """
    names = [name for name, profile in profiles.items() if profile.size >= _MIN_CHARS]
    if len(names) < MIN_DOCUMENTS:
        return {}
    shares_NB = np.stack([profiles[name].counts_B / profiles[name].size for name in names])
    total_B = shares_NB.sum(axis=0)
    entropies_N = np.empty(len(names))
    for number, share_B in enumerate(shares_NB):
        others_B = (total_B - share_B) / (len(names) - 1)
        smoothed_B = 0.99 * others_B + 0.01 / _BUCKETS
        entropies_N[number] = -(share_B * np.log(smoothed_B)).sum()
    centre = float(np.median(entropies_N))
    spread = max(_MIN_SPREAD, _SCALE * float(np.median(np.abs(entropies_N - centre))))
    scores_N = (entropies_N - centre) / spread
    return {name: float(score) for name, score in zip(names, scores_N, strict=True) if score > threshold}


def _passages(text: str) -> Iterator[tuple[bytes, str]]:
    """Passages of a text with keys that are equal where the words are, each begun at a word that says so."""
    words = list(_WORD.finditer(text))
    folded = [word[0].casefold() for word in words]
    for place in range(len(words) - PASSAGE_WORDS + 1):
        if not _begins(folded[place : place + 2]):
            continue
        run = " ".join(folded[place : place + PASSAGE_WORDS])
        key = hashlib.blake2b(run.encode("utf-8", "replace"), digest_size=12).digest()
        yield key, text[words[place].start() : words[place + PASSAGE_WORDS - 1].end()]


def _begins(pair: Iterable[str]) -> bool:
    """One pair of words in eight begins a passage, the same everywhere."""
    return hashlib.blake2b(" ".join(pair).encode("utf-8", "replace"), digest_size=1).digest()[0] < 32
