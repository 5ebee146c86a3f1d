from __future__ import annotations

import pytest

from spice.evaluation.sentences import split_sentences

CASES = {
    "plain": ("One is here. Two is there! Is three?", ["One is here.", "Two is there!", "Is three?"]),
    "hard-wrapped lines are joined": ("A line\nis wrapped\nhere. Next one.", ["A line is wrapped here.", "Next one."]),
    "headings are no sentences": ("# Algeria\n\nIt is large.", ["It is large."]),
    "heading above text without a blank line": ("# Algeria\nIt is large.", ["It is large."]),
    "list entries stand alone": ("- first entry\n- second one ends.\n- third", ["- second one ends."]),
    "initials": ("Dr. May met J. Doe of the U.S. Army. He left.", ["Dr. May met J. Doe of the U.S. Army.", "He left."]),
    "numbers": ("It has 3.5 million people. It grew by 1.2%.", ["It has 3.5 million people.", "It grew by 1.2%."]),
    "quotes": ('He said "Nay." Then he left.', ['He said "Nay."', "Then he left."]),
    "no end": ("This is cut off in the mid", []),
    "nothing": ("  \n\n ", []),
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), CASES.values(), ids=CASES.keys())
def test_sentences(text: str, expected: list[str]) -> None:
    assert list(split_sentences(text)) == expected
