"""Short answer-like spans of a text, by rule, and like spans of other texts.

Two places need them: the Challenger of a small model must answer with a span
of its document and gets wrong options from other documents, and cloze items
for evaluation are built from held-out documents. Rules instead of a tagger:
they are fast, the same everywhere, and need no model. They are written for
languages that mark names with capitals and words with spaces.
"""

from __future__ import annotations

import random
import re
from array import array
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Kind = Literal["date", "year", "quantity", "number", "name", "term"]

_MONTH = r"(?:January|February|March|April|May|June|July|August|September|October|November|December)"
_NUMBER = r"\d+(?:,\d{3})*(?:\.\d+)?"
_UNIT = (
    r"(?:%|percent|(?:thousand|million|billion|trillion)(?: (?:people|inhabitants|dollars|years))?"
    r"|(?:sq(?:uare)? )?(?:km|kilometers?|kilometres?|miles?|m|meters?|metres?|feet|ft|cm|mm)|kg|g|tons?|tonnes?"
    r"|years?(?: old)?|days?|hours?|minutes?|seconds?|degrees?|bytes?|[KMGT]?i?B|bits?|Hz|[kMG]Hz|W|kW|MW|V)"
)
_CAPITAL = r"[A-Z\u00c0-\u00de][\w'\u2019.-]*[\w]"
_RULES: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    ("date", re.compile(rf"\b(?:\d{{1,2}} {_MONTH}(?: \d{{4}})?|{_MONTH} \d{{1,2}}(?:, \d{{4}})?|{_MONTH} \d{{4}})\b")),
    ("quantity", re.compile(rf"(?:[$€£][ \u00a0]?{_NUMBER}(?: {_UNIT})?|(?<![\w.]){_NUMBER} ?{_UNIT})(?!\w)")),
    ("year", re.compile(r"(?<![\w.,$-])(?:1\d{3}|20\d{2})(?![\w,%]|\.\d)")),
    ("number", re.compile(rf"(?<![\w.,$-]){_NUMBER}(?![\w%]|\.\d|,\d)")),
    ("name", re.compile(rf"\b{_CAPITAL}(?: (?:(?:of|the|and|de|la|el|al|du|von|da) ){{0,2}}{_CAPITAL}){{0,4}}")),
    ("term", re.compile(r"(?<![\w'\u2019-])[a-z][a-z-]{2,}(?: [a-z][a-z-]{2,}){0,2}(?![\w'\u2019])")),
)
_SENTENCE_START = re.compile(r"(?:^|[.!?:]\s+|\n\s*)$")
_STOP = frozenset(
    """a about above after again against all almost along also although always am among an and another any are around as
    at back be became because become been before began being below between both but by called came can cannot could did
    do does doing done down due during each either else ended even ever every few first following for former found from
    further gave get given gone had has have having he hence her here him his how however i if in include included
    including into is it its itself just know known large largest last later latter least led less like made main mainly
    make many may me might more most mostly much must my near nearly neither never new next no nor not now of off often
    old on once one only onto or other others our out over own part per perhaps rather remain remained remains same saw
    second several shall she should since small smaller so some soon still such take taken than that the their them then
    there these they third this those though three through throughout thus to together too took toward towards two under
    until up upon us use used uses using various very via was we well went were what when where whether which while who
    whom whose why will with within without would year years yet you your""".split()
)
_DIGITS = re.compile(r"[\d.,]+")
_MOST_DOCUMENTS = 32768
_RARE = 3  # no span in so few documents is common
_DOCUMENT_BITS = 32
_DOCUMENT_MASK = (1 << _DOCUMENT_BITS) - 1
_SHIFT, _MASK = np.uint64(_DOCUMENT_BITS), np.uint64(_DOCUMENT_MASK)
_NONE = np.zeros(0, np.uint64)
_VERBISH = re.compile(r"(?:ed|ing|ly)$")


@dataclass(frozen=True)
class Span:
    """A piece of a text: `text[start:end]`, of one kind."""

    text: str
    kind: Kind
    start: int
    end: int


def find_spans(text: str) -> list[Span]:
    """Every answer-like span of `text`, in order, none overlapping another.

    Kinds are tried from the most to the least specific, so "5 July 1962" is
    one date and not a number and a year.
    """
    taken = bytearray(len(text))
    spans: list[Span] = []
    for kind, rule in _RULES:
        for start, end in _candidates(kind, rule, text):
            if end > start and not any(taken[start:end]):
                taken[start:end] = b"\x01" * (end - start)
                spans.append(Span(text[start:end], kind, start, end))
    return sorted(spans, key=lambda span: span.start)


def _candidates(kind: Kind, rule: re.Pattern[str], text: str) -> Iterator[tuple[int, int]]:
    for match in rule.finditer(text):
        if kind == "name":
            yield _trim_name(text, match.start(), match.end())
        elif kind == "term":
            yield from _split_terms(match)
        else:
            yield match.start(), match.end()


def _trim_name(text: str, start: int, end: int) -> tuple[int, int]:
    """Drop what is capitalised only because a sentence starts there ("The Nile" -> "Nile"), and a possessive."""
    if text[start:end].endswith(("'s", "\u2019s")):
        end -= 2
    at_start = bool(_SENTENCE_START.search(text[max(0, start - 4) : start]))
    while start < end:
        first = text[start:end].split(" ", 1)[0]
        alone = start + len(first) == end
        if first.lower() not in _STOP and not (at_start and _VERBISH.search(first)):
            # One capitalised word at a sentence's start is a name only if it keeps its capital elsewhere.
            if at_start and alone and not re.search(rf"[a-z,;] {re.escape(first)}\b", text):
                break
            return start, end
        start = min(end, start + len(first) + 1)
        at_start = False
    return start, start


def _split_terms(match: re.Match[str]) -> Iterator[tuple[int, int]]:
    """Cut a run of lower-case words at words that carry no meaning of their own, or look like verbs or adverbs."""
    start = end = -1
    for word in re.finditer(r"\S+", match.group()):
        if word.group() in _STOP or _VERBISH.search(word.group()):
            if start >= 0:
                yield match.start() + start, match.start() + end
            start = -1
        else:
            start = word.start() if start < 0 else start
            end = word.end()
    if start >= 0:
        yield match.start() + start, match.start() + end


def indexed(count: int) -> Sequence[int]:
    """Which of so many documents go into an index: all, or 32,768 at even distances.

    So many offer wrong options enough, and an index of more would take more memory and time the larger the corpus is.
    """
    kept = min(count, _MOST_DOCUMENTS)
    return [place * count // kept for place in range(kept)]


class SpanIndex:
    """The spans of many documents, by kind and length, to draw wrong options from.

    Each is a text and a document, packed into 64 bits so that they sort by length, text and document.
    """

    def __init__(self, documents: Iterable[tuple[str, str]]) -> None:
        """Index `(document id, text)` pairs; see `indexed` for how many."""
        entries: dict[tuple[Kind, str], array[int]] = defaultdict(lambda: array("Q"))
        texts: dict[str, int] = {}
        ids: dict[str, int] = {}
        holders: Counter[str] = Counter()
        self._documents = 0
        for document_id, text in documents:
            spans = find_spans(text)
            self._documents += 1
            holders.update({span.text.casefold() for span in spans})
            document = ids.setdefault(document_id, len(ids))
            for span in spans:
                entry = texts.setdefault(span.text, len(texts)) << _DOCUMENT_BITS | document
                for unit in {_unit(span), ""}:
                    entries[span.kind, unit].append(entry)
        self._holders = {text: count for text, count in holders.items() if count > _RARE}
        self._texts, text_ranks = _ranked(texts, key=lambda text: (len(text), text))
        self._ids, id_ranks = _ranked(ids, key=str)
        self._entries: dict[tuple[Kind, str], NDArray[np.uint64]] = {}
        for key, found in entries.items():
            packed = np.unique(np.array(found, np.uint64))
            ranked = text_ranks[packed >> _SHIFT] << _SHIFT | id_ranks[packed & _MASK]
            self._entries[key] = np.sort(ranked)

    def is_common(self, span: Span) -> bool:
        """Say whether a span is worded as in so many documents that it belongs to their wording, not to their facts.

        The limit is one document in twenty, for terms ("capital", "population") one in a hundred, and three at least.
        """
        limit = self._documents // (100 if span.kind == "term" else 20)
        return self._holders.get(span.text.casefold(), 0) > max(_RARE, limit)

    def draw(self, span: Span, document_id: str, text: str, k: int, rng: random.Random) -> list[str] | None:
        """Draw `k` distinct spans like `span` from other documents.

        Alike means the same kind, a length between half and twice, and the same
        number of words give or take one; quantities of the same unit come
        before others. None occurs in `text`, the span's own document, so none
        is right by accident there.

        Returns:
            The spans' texts, or `None` if fewer than `k` exist.
        """
        own, words = text.casefold(), span.text.count(" ")
        seen, drawn = {span.text.casefold()}, list[str]()
        for unit in dict.fromkeys((_unit(span), "")):
            entries = self._entries.get((span.kind, unit), _NONE)
            low, high = self._first(entries, len(span.text) // 2), self._first(entries, len(span.text) * 2 + 1)
            for index in rng.sample(range(low, high), min(high - low, 40 * k)):
                entry = int(entries[index])
                candidate, source = self._texts[entry >> _DOCUMENT_BITS], self._ids[entry & _DOCUMENT_MASK]
                folded = candidate.casefold()
                if source == document_id or folded in seen or folded in own or abs(candidate.count(" ") - words) > 1:
                    continue
                seen.add(folded)
                drawn.append(candidate)
                if len(drawn) == k:
                    return drawn
        return None

    def _first(self, entries: NDArray[np.uint64], length: int) -> int:
        """Where the entries begin whose text has at least so many characters."""
        text = bisect_left(self._texts, length, key=len)
        return int(np.searchsorted(entries, np.uint64(text) << _SHIFT))


def _ranked(
    numbers: Mapping[str, int], key: Callable[[str], tuple[int, str] | str]
) -> tuple[list[str], NDArray[np.uint64]]:
    """The texts in order, and for the number of each its place in that order."""
    ordered = sorted(numbers, key=key)
    ranks = np.empty(len(ordered), np.uint64)
    ranks[[numbers[text] for text in ordered]] = np.arange(len(ordered), dtype=np.uint64)
    return ordered, ranks


def _unit(span: Span) -> str:
    """What is left of a quantity without its number; "" for other kinds."""
    return _DIGITS.sub("", span.text).strip().casefold() if span.kind == "quantity" else ""
