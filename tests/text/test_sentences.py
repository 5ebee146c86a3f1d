from __future__ import annotations

import pytest

from spice.text.sentences import split_sentences

CASES = {
    "plain": ("One is here. Two is there! Is three?", ["One is here.", "Two is there!", "Is three?"]),
    "hard-wrapped lines are joined": ("A line\nis wrapped\nhere. Next one.", ["A line is wrapped here.", "Next one."]),
    "headings are no sentences": ("# Algeria\n\nIt is large.", ["It is large."]),
    "heading above text without a blank line": ("# Algeria\nIt is large.", ["It is large."]),
    "list entries stand alone": ("- first entry\n- second one ends.\n- third", ["second one ends."]),
    "numbered entries": ("1. The first one.\n2) The second one.", ["The first one.", "The second one."]),
    "table rows are no sentences": ("| A cell. | Two cells. |\n| More. |", []),
    "a dash inside is no list": ("It is -3 degrees\n-4 at night.", ["It is -3 degrees -4 at night."]),
    "initials": ("Dr. May met J. Doe of the U.S. Army. He left.", ["Dr. May met J. Doe of the U.S. Army.", "He left."]),
    "numbers": ("It has 3.5 million people. It grew by 1.2%.", ["It has 3.5 million people.", "It grew by 1.2%."]),
    "quotes": ('He said "Nay." Then he left.', ['He said "Nay."', "Then he left."]),
    "no end": ("This is cut off in the mid", []),
    "nothing": ("  \n\n ", []),
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), CASES.values(), ids=CASES.keys())
def test_sentences(text: str, expected: list[str]) -> None:
    assert list(split_sentences(text)) == expected


@pytest.mark.timeout(20)
@pytest.mark.parametrize("unit", ["A. ", "a.B.", '. " ', "\n\n ", "# a\n", "x' ", "1. "])
def test_hostile_text_takes_linear_time(unit: str) -> None:
    text = unit * 100_000
    assert sum(map(len, split_sentences(text))) <= len(text)
