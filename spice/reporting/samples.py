"""A posed task as a report shows it: beside its passage, with the gold answer marked and like answers counted."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from spice.reporting.records import Attempt, Run


@dataclass(frozen=True)
class Answer:
    """One answer and how many of the G responses gave it. `text` is "" where none was found in a response."""

    text: str
    count: int
    correct: bool


@dataclass(frozen=True)
class Sample:
    """An attempt with its passage.

    Attributes:
        attempt: the recorded row.
        title: the document's title, or its file.
        passage: pieces of the passage and whether each is the gold answer; empty if the passage could not be read.
        answers: most frequent first.
    """

    attempt: Attempt
    title: str
    passage: Sequence[tuple[str, bool]]
    answers: Sequence[Answer]


def samples(run: Run) -> list[Sample]:
    """The run's samples in the order in which they were posed."""
    found = []
    for attempt in sorted(run.samples, key=lambda sample: (sample.iteration, not sample.valid)):
        passage = run.passages.get(attempt.document)
        found.append(
            Sample(
                attempt,
                (passage.title if passage else "") or attempt.source or attempt.document,
                mark(passage.text, attempt.answer) if passage else [],
                tally(attempt),
            )
        )
    return found


def mark(text: str, answer: str) -> list[tuple[str, bool]]:
    """Split `text` at the occurrences of `answer`, whatever their case and white space."""
    words = answer.split()
    if not words:
        return [(text, False)]
    pattern = r"\s+".join(map(re.escape, words))
    # Not within a longer word or number: an answer "12" must not light up in "1912".
    pieces = re.split(rf"((?<!\w){pattern}(?!\w))", text, flags=re.IGNORECASE)
    return [(piece, index % 2 == 1) for index, piece in enumerate(pieces) if piece]


def tally(attempt: Attempt) -> list[Answer]:
    """Count equal answers. Answers that were judged differently are never merged."""
    counts = Counter(
        (extracted or "", correct) for extracted, correct in zip(attempt.extracted, attempt.correct, strict=False)
    )
    return [Answer(text, count, correct) for (text, correct), count in counts.most_common()]
