"""Does any evaluation item occur in what the policy was trained on?

An item counts as found when 13 of its words in a row (question and answer) stand in a
training text, case and punctuation aside. A shorter item must occur whole; one of
fewer than 8 words would be found by chance and is counted as not testable.

Only the items' n-grams are held in memory. Training text streams past them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from spice.evaluation.items import Item

N_GRAM = 13
MIN_WORDS = 8
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Hit:
    """One item that was found.

    Attributes:
        suite: of the item.
        item: its id.
        where: the training text that holds it.
        words: the words that they share.
    """

    suite: str
    item: str
    where: str
    words: str


@dataclass(frozen=True)
class Contamination:
    """What a check found.

    Attributes:
        items: items looked for.
        testable: items long enough to look for.
        hits: one for each item that was found, in the order in which they were found.
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
    found: dict[tuple[str, str], Hit] = {}
    for where, text in texts:
        for words, suite, item_id in index.take(words_of(text)):
            found.setdefault((suite, item_id), Hit(suite, item_id, where, words))
    return Contamination(sum(map(len, suites.values())), testable, tuple(found.values()))


def words_of(text: str) -> list[str]:
    """Words as they are compared: NFKC, case folded, without punctuation."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


class _Index:
    """The n-grams of all items, joined by spaces, with the items that hold them."""

    def __init__(self) -> None:
        self._items: dict[str, list[tuple[str, str]]] = {}
        self._starts: set[str] = set()
        self._sizes: set[int] = set()

    def add(self, suite: str, item: Item) -> bool:
        """Index an item, and say whether it is long enough to be looked for."""
        words = words_of(item.source_text)
        if len(words) < MIN_WORDS:
            return False
        size = min(N_GRAM, len(words))
        for i in range(len(words) - size + 1):
            holders = self._items.setdefault(" ".join(words[i : i + size]), [])
            if (suite, item.id) not in holders:
                holders.append((suite, item.id))
            self._starts.add(f"{words[i]} {words[i + 1]}")
        self._sizes.add(size)
        return True

    def take(self, words: list[str]) -> Iterator[tuple[str, str, str]]:
        """Remove the n-grams that stand in `words`, and yield each with its items: (n-gram, suite, item)."""
        for i in range(len(words) - MIN_WORDS + 1):
            # Two words rule out nearly every place, which spares joining thirteen.
            if f"{words[i]} {words[i + 1]}" not in self._starts:
                continue
            for size in self._sizes:
                gram = " ".join(words[i : i + size])
                for suite, item_id in self._items.pop(gram, ()):
                    yield gram, suite, item_id
