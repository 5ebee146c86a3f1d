r"""The letter of an option in a response: what general benchmarks are graded by.

Models that were not tuned to box their answers end in "the answer is (C)"
instead. Both count, the box first; a letter that merely stands somewhere does
not.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from spice.evaluation.items import Item
from spice.selfplay.answers import choose, extract_boxed
from spice.selfplay.types import LETTERS, Verdict

_SAID = re.compile(
    r"\b(?:answer|option|choice)\s*(?:is|:)\s*(?:option\s*|choice\s*)?[*_$\\(\[{]*(?:text\{|boxed\{)?\(?([A-J])(?![\w'])",
    re.IGNORECASE,
)
_ALONE = re.compile(r"[\s($*]*(?:\\(?:text|textbf|mathrm|mathbf)\{)?[\s($*]*([A-J])[\s)}.:$*]*", re.IGNORECASE)


def grade_letters(responses: Sequence[tuple[str, Item]]) -> list[Verdict]:
    """Judge responses by the letter, of up to ten options, that they give last."""
    return [_verdict(response, item) for response, item in responses]


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


def _verdict(response: str, item: Item) -> Verdict:
    letter = letter_of(response, item.task.options)
    if letter is None:
        return Verdict(correct=False)
    # By text: in a few benchmarks two options say the same.
    return Verdict(item.task.options[LETTERS.index(letter)] == item.task.answer, letter)
