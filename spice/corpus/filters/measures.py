"""What the filters measure in a text, computed when first asked for, with numpy where it counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

_PRIME = np.uint64(0x9E3779B97F4A7C15)
# Of a longer text the beginning is judged: rules about shares need no more, and memory stays bounded.
_MOST_CHARACTERS = 1 << 20


class Text:
    """A document under judgement.

    Words are what stands between blanks, lines are what is not blank, paragraphs have blank lines between them.

    Args:
        raw: its text as it stood in the file.
        cleaned: the same after `clean`.
    """

    def __init__(self, raw: str, cleaned: str) -> None:
        self.raw, self.cleaned = raw, cleaned

    @cached_property
    def judged(self) -> str:
        """The part of the cleaned text that is looked at."""
        return self.cleaned[:_MOST_CHARACTERS]

    @cached_property
    def lowered(self) -> str:
        """The same without case."""
        return self.judged.lower()

    @cached_property
    def lines(self) -> list[str]:
        """Lines that are not blank, without the white space around them."""
        return [line for line in map(str.strip, self.judged.split("\n")) if line]

    @cached_property
    def paragraphs(self) -> list[str]:
        """What stands between blank lines."""
        return [paragraph for paragraph in map(str.strip, self.judged.split("\n\n")) if paragraph]

    @cached_property
    def words(self) -> Words:
        """Its words."""
        return Words(self.judged)


class Words:
    """The words of a text as arrays: hashes and lengths, shape (words,)."""

    def __init__(self, text: str) -> None:
        data = np.frombuffer(text.encode("utf-8", "replace"), np.uint8)
        inside = data > 32
        edges = np.diff(inside.astype(np.int8), prepend=0, append=0)
        self._starts, self._ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
        self._data = data
        self._runs: dict[int, NDArray[np.uint64]] = {}

    def __len__(self) -> int:
        return len(self._starts)

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """Characters of each word."""
        begun = np.concatenate(([0], np.cumsum((self._data & 0xC0) != 0x80)))
        return np.asarray(begun[self._ends] - begun[self._starts], np.int64)

    @cached_property
    def alphabetic(self) -> NDArray[np.bool_]:
        """Whether each word has a letter; every character beyond ASCII counts as one."""
        lower = self._data | 0x20
        letters = np.concatenate(([0], np.cumsum(((lower >= 97) & (lower <= 122)) | (self._data >= 128))))
        return np.asarray(letters[self._ends] > letters[self._starts], np.bool_)

    @cached_property
    def hashes(self) -> NDArray[np.uint64]:
        """A hash of each word: its bytes weighted by their place in the word."""
        if not len(self):
            return np.zeros(0, np.uint64)
        longest = int((self._ends - self._starts).max())
        powers = np.cumprod(np.full(longest + 1, _PRIME, np.uint64))
        owner = np.repeat(np.arange(len(self)), self._ends - self._starts)
        inside = np.flatnonzero(self._data > 32)
        weighted = (self._data[inside].astype(np.uint64) + np.uint64(1)) * powers[inside - self._starts[owner]]
        return _mix(np.add.reduceat(weighted, np.searchsorted(owner, np.arange(len(self)))))

    def runs(self, n: int) -> NDArray[np.uint64]:
        """A hash of each run of n words, shape (words - n + 1,), or (0,) if there are fewer than n words."""
        if n > len(self):
            return np.zeros(0, np.uint64)
        if n == 1:
            return self.hashes
        if n not in self._runs:
            self._runs[n] = self.runs(n - 1)[:-1] * _PRIME + self.hashes[n - 1 :]
        return self._runs[n]

    def top_run_share(self, n: int) -> float:
        """Characters in all occurrences of the most frequent run of n words, as a share of those of all words."""
        hashes = np.sort(self.runs(n))
        starts = np.flatnonzero(np.concatenate(([True], hashes[1:] != hashes[:-1]))) if len(hashes) else hashes
        if len(starts) == len(hashes):
            return 0.0
        counts = np.diff(np.append(starts, len(hashes)))
        best = int(np.argmax(counts))
        first = int(np.argmax(self.runs(n) == hashes[starts[best]]))
        length = int(self.lengths[first : first + n].sum()) + n - 1
        return min(1.0, length * int(counts[best]) / self._total)

    def duplicate_run_share(self, n: int) -> float:
        """Characters of words in a run of n that occurred before, each counted once, as a share of all."""
        hashes = self.runs(n)
        ordered = np.sort(hashes)
        if not (ordered[1:] == ordered[:-1]).any():
            return 0.0
        _, first = np.unique(hashes, return_index=True)
        repeated = np.ones(len(hashes), np.int64)
        repeated[first] = 0
        covers = np.concatenate(([0], np.cumsum(repeated)))
        places = np.arange(len(self))
        covered = covers[np.minimum(places + 1, len(hashes))] > covers[np.maximum(places - n + 1, 0)]
        return float(self.lengths[covered].sum() / self.lengths.sum())

    @property
    def _total(self) -> int:
        return int(self.lengths.sum()) + len(self) - 1


def duplicate_shares(parts: Sequence[str]) -> tuple[float, float]:
    """The share of parts that repeat an earlier one, and the share of characters in them."""
    if not parts:
        return 0.0, 0.0
    repeats = Counter(parts)
    again = sum(count - 1 for count in repeats.values())
    characters = sum((count - 1) * len(part) for part, count in repeats.items())
    return again / len(parts), characters / max(1, sum(map(len, parts)))


def _mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    x = (x ^ (x >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
    return x ^ (x >> np.uint64(32))
