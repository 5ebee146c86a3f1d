"""How alike texts are: copying from a document, and diversity within a batch."""

from __future__ import annotations

import re
import zlib
from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from spice.selfplay.answers import fold

_COPIED_RUN = 3
_WORD = re.compile(r"\w+")


class Extraction(NamedTuple):
    """How much of a text is copied from another (extractive fragments, Grusky et al., 2018, section 4.1).

    Attributes:
        longest: words of the longest common run.
        coverage: share of the words that lie in a common run, in [0, 1].
        density: mean length of the run that a word lies in, in words, 0 outside of runs.
        copied: share of the words that lie in a common run of at least three words: coverage without the words
            that any two texts share.
    """

    longest: int
    coverage: float
    density: float
    copied: float


def extraction(text: str, document: str) -> Extraction:
    """Measure how much of `text` is copied from `document`; an empty text copies nothing.

    Runs are found greedily, from left to right, each as long as possible.
    """
    words = split_words(text)
    source, places = _indexed(document)
    runs = []
    start = 0
    while start < len(words):
        run = max((_common_run(words, start, source, place) for place in places.get(words[start], ())), default=0)
        runs.append(run)
        start += max(run, 1)
    if not words:
        return Extraction(0, 0.0, 0.0, 0.0)
    return Extraction(
        max(runs),
        sum(runs) / len(words),
        sum(run * run for run in runs) / len(words),
        sum(run for run in runs if run >= _COPIED_RUN) / len(words),
    )


def distinct_n(texts: Sequence[str], n: int) -> float:
    """Share of word n-grams over all texts that are distinct, in (0, 1] (Li et al., 2016); 0 if there are none."""
    grams = []
    for text in texts:
        words = split_words(text)
        grams += [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
    return len(set(grams)) / len(grams) if grams else 0.0


def compression_ratio(texts: Sequence[str]) -> float:
    """Bytes of all texts over their bytes compressed together: the more alike the texts, and the longer, the higher.

    It grows with the number of texts; compare it between batches of one size.
    """
    return len(_joined(texts)) / compressed_bytes(texts)


def compressed_bytes(texts: Sequence[str]) -> int:
    """Bytes of all texts compressed together, by zlib's best. Texts that are alike, however long, have few each."""
    return len(zlib.compress(_joined(texts), 9))


def split_words(text: str) -> list[str]:
    """Split text into words, case and punctuation aside."""
    return _WORD.findall(fold(text))


# Several questions in a row are about one document.
@lru_cache(maxsize=8)
def _indexed(document: str) -> tuple[list[str], dict[str, list[int]]]:
    """A document's words, and where each of them stands."""
    words = split_words(document)
    places = defaultdict(list)
    for place, word in enumerate(words):
        places[word].append(place)
    return words, dict(places)


def _joined(texts: Sequence[str]) -> bytes:
    return "\n".join(texts).encode()


def _common_run(words: Sequence[str], start: int, source: Sequence[str], place: int) -> int:
    length = 0
    most = min(len(words) - start, len(source) - place)
    while length < most and words[start + length] == source[place + length]:
        length += 1
    return length
