"""Sentences of running text, by rule.

Hard-wrapped lines are joined first, because many plain-text corpora wrap at 72
columns. What does not end like a sentence is not one, so headings, captions and
most code yield nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_BLANK_LINE = re.compile(r"\n\s*\n")
_OWN_LINE = re.compile(r"^\s*(?:[-*+•>|]\s|#+\s|\d+[.)]\s)")
_HEADING = re.compile(r"^\s*#+\s")
_TABLE_ROW = re.compile(r"^\s*\|")
_BOUNDARY = re.compile(r"(?<=[.!?])[\"'”’)\]]*\s+(?=[\"'“‘(\[]?[A-Z0-9À-Þ])")
_ABBREVIATION = re.compile(
    r"(?:\b(?:[A-Z]|Mr|Mrs|Ms|Dr|Prof|St|Mt|Jr|Sr|Gen|Col|Lt|Capt|No|Nos|Vol|Fig|Inc|Ltd|Co|Corp|vs|etc|ca|cf|al|approx)"
    r"|\b(?:[A-Za-z]\.)+[A-Za-z])\.$"
)
_LONGEST_ABBREVIATION = 16
_END = re.compile(r"[.!?][\"'”’)\]]*$")


def split_sentences(text: str) -> Iterator[str]:
    """Every complete sentence of `text`, on one line each, in order."""
    for block in _blocks(text):
        for sentence in _split(block):
            if _END.search(sentence):
                yield sentence


def _blocks(text: str) -> Iterator[str]:
    """Paragraphs with their line breaks removed; a heading or list entry is a block of its own, table rows are none."""
    for paragraph in _BLANK_LINE.split(text):
        lines: list[str] = []
        for line in paragraph.splitlines():
            if lines and (_OWN_LINE.match(line) or _HEADING.match(lines[-1])):
                yield _join(lines)
                lines = []
            if not _TABLE_ROW.match(line):
                lines.append(line)
        yield _join(lines)


def _join(lines: list[str]) -> str:
    """One line, without the mark of a list entry or heading."""
    return " ".join(_OWN_LINE.sub("", " ".join(lines), count=1).split())


def _split(block: str) -> Iterator[str]:
    """Cut at ends of sentences, but not after abbreviations and initials."""
    start = 0
    for boundary in _BOUNDARY.finditer(block):
        if _ABBREVIATION.search(block[max(start, boundary.start() - _LONGEST_ABBREVIATION) : boundary.start()]):
            continue
        yield block[start : boundary.end()].strip()
        start = boundary.end()
    yield block[start:].strip()
