"""Sentences with a span taken out, such that they can be understood alone.

Held-out suites are made of them, and a Challenger that is too small to word a
question may pose them: what it then decides is what to ask.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from spice.selfplay.answers import contains
from spice.selfplay.types import Document
from spice.text.sentences import split_sentences
from spice.text.spans import Span, find_spans

BLANK = "____"
_POINTS_ELSEWHERE = re.compile(
    r"^(?:it|its|he|his|she|her|they|their|these|those|this|that|here|there|such|both|we|our|i|my|you|your)\b", re.I
)
_MIN_WORDS, _MAX_WORDS = 6, 30


def blanked_sentences(document: Document, answers: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Every way to blank one of these answers in a sentence of the document, as (answer, sentence with the blank)."""
    wanted = set(answers)
    for sentence in split_sentences(document.text):
        if not _MIN_WORDS <= len(sentence.split()) <= _MAX_WORDS:
            continue
        spans = find_spans(sentence)
        for span in spans:
            if span.text in wanted and (shown := blank_out(sentence, span, spans, document.title)):
                yield span.text, shown


def blank_out(sentence: str, span: Span, spans: Sequence[Span], title: str) -> str | None:
    """Blank a span such that the sentence makes sense alone, or `None` if that cannot be.

    The title goes before it unless it is there already. Where there is none, or it gives the answer
    away, the sentence must hold another name and must not begin with a word that points elsewhere.

    Args:
        sentence: as it stands in the document.
        span: what to take out.
        spans: all spans of the sentence.
        title: the document's, or "".
    """
    blanked = sentence[: span.start] + BLANK + sentence[span.end :]
    if contains(blanked, span.text):
        return None
    title = title.strip()
    if title and not contains(title, span.text):
        return blanked if title.casefold() in blanked.casefold() else f"{title}: {blanked}"
    names = any(other.kind == "name" and other != span for other in spans)
    return blanked if names and not _POINTS_ELSEWHERE.match(blanked) else None
