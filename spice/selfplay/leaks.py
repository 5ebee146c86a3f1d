"""Answers that a question gives away in other words than their own."""

from __future__ import annotations

import re

from spice.selfplay.answers import fold, normalise
from spice.selfplay.similarity import split_words

# Shorter words are alike by chance. Beyond that a word may lose two letters and gain as many and three more: Latvia,
# Latvian, Latvia's; but not Station, State.
_STEM, _LOST, _GAINED = 4, 2, 3
_NOT_WORD = re.compile(r"[\W_]+")


def gives_away(question: str, answer: str) -> bool:
    """Say whether a question holds its answer with other spacing, punctuation, order or endings.

    "Which Latvian city ...?" gives Latvia away, "... 17964697 people" gives 17,964,697. An answer of short words alone
    (fewer than four letters) must stand in the question as it is, which `spice.selfplay.validity` looks for.
    """
    told, wanted = split_words(question), split_words(normalise(answer))
    telling = any(len(word) >= _STEM for word in wanted)
    if telling and all(any(_inflected(word, other) for other in told) for word in wanted):
        return True
    squeezed = _squeezed(answer)
    return len(squeezed) > _STEM and squeezed in _squeezed(question)


def _inflected(word: str, other: str) -> bool:
    """Whether two words share all but their endings; numbers have none."""
    if word == other or len(word) < _STEM:
        return word == other
    stem = max(_STEM, len(word) - _LOST)
    return word.isalpha() and other[:stem] == word[:stem] and len(other) <= len(word) + _GAINED


def _squeezed(text: str) -> str:
    return _NOT_WORD.sub("", fold(text))
