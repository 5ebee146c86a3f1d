"""Multiple choice from held-out documents, built by code: no model writes or sees an item.

A span of a sentence is blanked, and the wrong options are like spans of *other*
held-out documents, so an option cannot be found by its kind or length. It works
for any folder of documents; where a folder offers few usable sentences, there
are few items, and every figure states its n.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from spice.evaluation.items import Item, Segment, Segments, Suite
from spice.selfplay.answers import contains, normalise
from spice.selfplay.blanks import blank_out
from spice.selfplay.types import Task
from spice.text.sentences import split_sentences
from spice.text.spans import SpanIndex, find_spans, indexed

STEM = "Which option fills the blank? {sentence}"
OPTIONS = 4
_MIN_WORDS, _MAX_WORDS = 6, 45
_PER_DOCUMENT = 12
_TRIED = 200


@dataclass(frozen=True)
class Candidate:
    """A sentence that can become an item.

    Attributes:
        document_id: where it stands.
        sentence: the sentence, blanked, with the document's title before it.
        answer: what was blanked.
        distractors: three like spans of other documents.
        original: the sentence as it stands in the document.
    """

    document_id: str
    sentence: str
    answer: str
    distractors: tuple[str, ...]
    original: str


def find_candidates(segments: Segments, rng: random.Random) -> Iterator[Candidate]:
    """Draw candidates, one per document in turn, so that they spread over as many documents as possible.

    Lazy: a document's later sentences are looked at only when every other
    document has had its turn. At most twelve come from one document, and a
    sentence that several documents share is used once.
    """
    documents: dict[str, list[int]] = defaultdict(list)
    for place, segment in enumerate(segments):
        documents[segment.document_id].append(place)
    chosen = map(segments.__getitem__, indexed(len(segments)))
    index = SpanIndex((segment.document_id, segment.text) for segment in chosen)
    order = sorted(documents)
    rng.shuffle(order)
    used: set[str] = set()
    seeds = [rng.getrandbits(64) for _ in order]
    queues: Iterable[Iterator[Candidate]] = (
        _of_document(segments, documents[document_id], index, random.Random(seed))
        for document_id, seed in zip(order, seeds, strict=True)
    )
    for _ in range(_PER_DOCUMENT):
        live = []
        for queue in queues:
            candidate = next((each for each in queue if each.original not in used), None)
            if candidate is not None:
                live.append(queue)
                used.add(candidate.original)
                yield candidate
        queues = live


def build_suite(candidates: Iterable[Candidate], rng: random.Random, name: str = "cloze") -> Suite:
    """Turn candidates into items; the right option stands equally often at each position."""
    chosen = list(candidates)
    positions = [i % OPTIONS for i in range(len(chosen))]
    rng.shuffle(positions)
    items = []
    for number, (candidate, position) in enumerate(zip(chosen, positions, strict=True)):
        options = list(candidate.distractors)
        rng.shuffle(options)
        options.insert(position, candidate.answer)
        task = Task(
            format="multiple_choice",
            question=STEM.format(sentence=candidate.sentence),
            answer=candidate.answer,
            options=tuple(options),
        )
        items.append(Item(f"{name}-{number:04d}", candidate.document_id, task, candidate.original))
    return Suite(name, "cloze", tuple(items))


def _of_document(
    segments: Segments, places: Sequence[int], index: SpanIndex, rng: random.Random
) -> Iterator[Candidate]:
    """One document's candidates, in random order: names are blanked and, in a second round as a last resort, terms.

    Figures and dates are not: those of a document that nobody has shown can only be guessed.

    Of a document of thousands of sentences a random part is tried, since few items are wanted of each.
    """
    own = [segments[place] for place in places]
    whole = "\n".join(segment.text for segment in own)
    sentences = [(segment, sentence) for segment in own for sentence in split_sentences(segment.text)]
    rng.shuffle(sentences)
    del sentences[_TRIED:]
    for terms in (False, True):
        for segment, sentence in sentences:
            if not _MIN_WORDS <= len(sentence.split()) <= _MAX_WORDS:
                continue
            candidate = _blank(segment, sentence, whole=whole, index=index, rng=rng, terms=terms)
            if candidate is not None:
                yield candidate


def _blank(
    segment: Segment, sentence: str, *, whole: str, index: SpanIndex, rng: random.Random, terms: bool
) -> Candidate | None:
    spans = find_spans(sentence)
    wanted = [span for span in spans if span.kind == ("term" if terms else "name")]
    rng.shuffle(wanted)
    for span in wanted:
        shown = blank_out(sentence, span, spans, segment.title)
        if shown is None:
            continue
        distractors = index.draw(span, segment.document_id, whole, OPTIONS - 1, rng)
        if not distractors or not _distinct(span.text, distractors, shown):
            continue
        return Candidate(segment.document_id, shown, span.text, tuple(distractors), sentence)
    return None


def _distinct(answer: str, distractors: Sequence[str], shown: str) -> bool:
    """Whether the verifier can tell all options apart, and none stands in the sentence already."""
    options = {normalise(option) for option in (answer, *distractors)} - {""}
    return len(options) == OPTIONS and not any(contains(shown, option) for option in distractors)
