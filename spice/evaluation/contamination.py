"""Does any evaluation item occur in what the policy was trained on?

An item counts as found when 13 of its words in a row (question and answer) stand in a
training text, case and punctuation aside. A shorter item must occur whole; one of
fewer than 8 words would be found by chance and is counted as not testable. Of an item
that was found the longest run of shared words is told as well: 13 may be a phrase, 60
are the item.

Only anchors of the items are held in memory: every sixth run of 8 words, since any 13
words in a row hold one of them. Training text streams past them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from spice.evaluation.items import Item

N_GRAM = 13
MIN_WORDS = 8
_STRIDE = N_GRAM - MIN_WORDS + 1
_SHOWN_WORDS = 40
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Hit:
    """One item that was found.

    Attributes:
        suite: of the item.
        item: its id.
        where: the training text that holds it.
        words: the longest run of words that they share, cut at 40.
        longest: how many words that run has.
    """

    suite: str
    item: str
    where: str
    words: str
    longest: int = 0


@dataclass(frozen=True)
class Contamination:
    """What a check found.

    Attributes:
        items: items looked for.
        testable: items long enough to look for.
        hits: one for each item that was found, with its longest run, in the order in which they were found.
    """

    items: int
    testable: int
    hits: tuple[Hit, ...]

    @property
    def share(self) -> float:
        """Share of the testable items that were found; 0 if none is testable."""
        return len(self.hits) / self.testable if self.testable else 0.0


def check(suites: Mapping[str, Sequence[Item]], texts: Iterable[tuple[str, str]]) -> Contamination:
    """Look for every item in every text.

    Args:
        suites: items by suite. An item that stands in two suites should be given once.
        texts: `(where, text)` pairs: training segments and posed tasks. Read once, one at a time.
    """
    index = _Index()
    testable = sum(index.add(suite, item) for suite, items in suites.items() for item in items)
    found: dict[int, Hit] = {}
    for where, text in texts:
        for target, run in index.runs(words_of(text)):
            longest = found[target.number].longest if target.number in found else 0
            if len(run) > longest:
                words = " ".join(run[:_SHOWN_WORDS])
                found[target.number] = Hit(target.suite, target.item, where, words, len(run))
    return Contamination(sum(map(len, suites.values())), testable, tuple(found.values()))


def words_of(text: str) -> list[str]:
    """Words as they are compared: NFKC, case folded, without punctuation."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


@dataclass(frozen=True)
class _Target:
    """An item that is looked for; `needed` is how many words in a row make it found."""

    number: int
    suite: str
    item: str
    words: list[str]
    needed: int


@dataclass
class _Index:
    """The anchors of all items: 8 words, joined by spaces, with where they stand in which item."""

    targets: list[_Target] = field(default_factory=list)
    anchors: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    starts: set[str] = field(default_factory=set)

    def add(self, suite: str, item: Item) -> bool:
        """Index an item, and say whether it is long enough to be looked for."""
        words = words_of(item.source_text)
        if len(words) < MIN_WORDS:
            return False
        number = len(self.targets)
        self.targets.append(_Target(number, suite, item.id, words, min(N_GRAM, len(words))))
        for place in range(0, len(words) - MIN_WORDS + 1, _STRIDE):
            anchor = " ".join(words[place : place + MIN_WORDS])
            self.anchors.setdefault(anchor, []).append((number, place))
            self.starts.add(f"{words[place]} {words[place + 1]}")
        return True

    def runs(self, text: list[str]) -> list[tuple[_Target, list[str]]]:
        """Each maximal run of words that `text` shares with an item and that is long enough."""
        found = []
        # Where the run on each diagonal ended, so that a long one is followed once and not at each of its anchors.
        followed: dict[tuple[int, int], int] = {}
        for i in range(len(text) - MIN_WORDS + 1):
            # Two words rule out nearly every place, which spares joining eight.
            if f"{text[i]} {text[i + 1]}" not in self.starts:
                continue
            for number, place in self.anchors.get(" ".join(text[i : i + MIN_WORDS]), ()):
                target, diagonal = self.targets[number], (number, i - place)
                if followed.get(diagonal, -1) > i:
                    continue
                start, end = _extend(text, target.words, i, place)
                followed[diagonal] = end
                if end - start >= target.needed:
                    found.append((target, text[start:end]))
        return found


def _extend(text: list[str], words: list[str], i: int, place: int) -> tuple[int, int]:
    """The run around text[i] and words[place] that the two share, as positions in the text, the end exclusive."""
    back = 0
    while back < min(i, place) and text[i - back - 1] == words[place - back - 1]:
        back += 1
    on, room = MIN_WORDS, min(len(text) - i, len(words) - place)
    while on < room and text[i + on] == words[place + on]:
        on += 1
    return i - back, i + on
