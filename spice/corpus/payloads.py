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
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

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


def passage_hashes(text: str) -> NDArray[np.uint64]:
    """Sorted unique hashes of the passages of a text.

    Boundaries of passages are set by the words themselves, so the same passage is found whatever stands before it.
    """
    return np.unique(np.fromiter((key for key, _ in _passages(text)), np.uint64))


def repeated_passage(text: str, holders: Mapping[int, int]) -> tuple[str, str] | None:
    """Why a document must be quarantined, with the passage, or `None`.

    Documents of one author repeat phrases and footers; a passage counts only where the rest of the document is
    another one, which holds after exact and near duplicates are gone.

    Args:
        text: of the document.
        holders: how many documents have a passage, by its hash, for passages that enough have to be a payload.
    """
    for key, passage in _passages(text):
        if key in holders:
            return f"holds a passage that stands in {holders[key]} documents", passage
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


def outliers(profiles: Callable[[], Iterator[Profile]], threshold: float) -> dict[int, float]:
    """Documents whose trigrams the rest of the corpus predicts much worse than those of other documents.

    For each document, the cross-entropy of its trigrams under all *other* documents, in nats; a robust z-score of that
    (median and median absolute deviation) above the threshold is an outlier. Each document has the same weight, so that
    a large one does not define what is usual. Memory holds one number per document.

    Args:
        profiles: of all documents, the same each time it is called; those of under 200 trigrams are not judged.
        threshold: of the z-score.

    Returns:
        z-score of each outlier by its index; none where there are fewer than 20 documents to judge by.
    """
    total_B = np.zeros(_BUCKETS)
    count = 0
    for _, share_B in _shares(profiles()):
        total_B += share_B
        count += 1
    if count < MIN_DOCUMENTS:
        return {}
    places_N, entropies_N = np.empty(count, np.int64), np.empty(count)
    for number, (place, share_B) in enumerate(_shares(profiles())):
        others_B = (total_B - share_B) / (count - 1)
        smoothed_B = 0.99 * others_B + 0.01 / _BUCKETS
        places_N[number], entropies_N[number] = place, -(share_B * np.log(smoothed_B)).sum()
    centre = float(np.median(entropies_N))
    spread = max(_MIN_SPREAD, _SCALE * float(np.median(np.abs(entropies_N - centre))))
    scores_N = (entropies_N - centre) / spread
    return {int(places_N[number]): float(scores_N[number]) for number in np.flatnonzero(scores_N > threshold)}


def _shares(profiles: Iterator[Profile]) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Index and share of each trigram, for documents with enough to be judged."""
    for index, profile in enumerate(profiles):
        if profile.size >= _MIN_CHARS:
            yield index, profile.counts_B / profile.size


def _passages(text: str) -> Iterator[tuple[int, str]]:
    """Passages of a text with keys that are equal where the words are, each begun at a word that says so.

    Holds one passage, since a text may have a hundred million words.
    """
    window: deque[re.Match[str]] = deque(maxlen=PASSAGE_WORDS)
    for word in _WORD.finditer(text):
        window.append(word)
        if len(window) < PASSAGE_WORDS or not _begins(f"{window[0][0]} {window[1][0]}".casefold()):
            continue
        run = " ".join(one[0].casefold() for one in window)
        key = hashlib.blake2b(run.encode("utf-8", "replace"), digest_size=8).digest()
        yield int.from_bytes(key), text[window[0].start() : word.end()]


def _begins(pair: str) -> bool:
    """One pair of words in eight begins a passage, the same everywhere."""
    return hashlib.blake2b(pair.encode("utf-8", "replace"), digest_size=1).digest()[0] < 32
