r"""What general benchmarks are graded by: the letter of an option, or a short answer that must be the same.

Models that were not tuned to box their answers end in "the answer is (C)"
instead. Both count, the box first; a letter that merely stands somewhere does
not.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from spice.evaluation.items import Item
from spice.selfplay.answers import choose, extract_boxed, normalise
from spice.selfplay.types import LETTERS, Verdict

_SAID = re.compile(
    r"\b(?:answer|option|choice)\s*(?:is|:)\s*(?:option\s*|choice\s*)?[*_$\\(\[{]*(?:text\{|boxed\{)?\(?([A-J])(?![\w'])",
    re.IGNORECASE,
)
_ANSWER_IS = re.compile(r"\banswer\s*(?:is|:)\s*:?", re.IGNORECASE)
_ALONE = re.compile(r"[\s($*]*(?:\\(?:text|textbf|mathrm|mathbf)\{)?[\s($*]*([A-J])[\s)}.:$*]*", re.IGNORECASE)


def grade_letters(responses: Sequence[tuple[str, Item]]) -> list[Verdict]:
    """Judge responses by the letter, of up to ten options, that they give last."""
    return [_verdict(response, item) for response, item in responses]


def grade_exact(responses: Sequence[tuple[str, Item]]) -> list[Verdict]:
    """Judge responses by their answer as text: case, quotes, brackets and spaces after commas aside; numbers by value.

    So do the makers of BBEH, whose answers are words, lists, numbers and letters in brackets.
    """
    verdicts = []
    for response, item in responses:
        answer = extract_boxed(response) or _stated(response)
        given, gold = _plain(answer or ""), _plain(item.task.answer)
        verdicts.append(Verdict(given == gold != "", answer))
    return verdicts


def letter_of(response: str, options: Sequence[str]) -> str | None:
    r"""The letter that a response settles on: that of its last box, else of its last "the answer is"."""
    boxed = extract_boxed(response)
    if boxed is None:
        return _within([match[1] for match in _SAID.finditer(response)][-1:], options)
    # A letter alone is that option's, also where another option reads like it.
    if alone := _ALONE.fullmatch(boxed):
        return _within([alone[1]], options)
    place = choose(boxed, options)
    return None if place is None else LETTERS[place]


def _within(letters: Sequence[str], options: Sequence[str]) -> str | None:
    return next((each.upper() for each in letters if each.upper() in LETTERS[: len(options)]), None)


def _stated(response: str) -> str | None:
    """What follows the last "the answer is", to the end of its line."""
    _, *after = _ANSWER_IS.split(response)
    lines = after[-1].strip().splitlines() if after else []
    return (lines[0].strip(" *$") or None) if lines else None


def _plain(answer: str) -> str:
    text = normalise(answer).replace("'", "").replace('"', "")
    text = re.sub(r"\s*,\s*", ",", text).strip("[](){}")
    try:
        return f"{float(text):g}"
    except ValueError:
        return text


def _verdict(response: str, item: Item) -> Verdict:
    letter = letter_of(response, item.task.options)
    if letter is None:
        return Verdict(correct=False)
    # By text: in a few benchmarks two options say the same.
    return Verdict(item.task.options[LETTERS.index(letter)] == item.task.answer, letter)
