from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spice.reporting.load import slots
from spice.reporting.records import Attempt
from spice.reporting.samples import mark, tally


@pytest.mark.parametrize(
    ("text", "answer", "marked"),
    [
        ("The capital is Algiers.", "Algiers", ["Algiers"]),
        ("ALGIERS and algiers", "Algiers", ["ALGIERS", "algiers"]),
        ("the Ottoman\n  Empire fell", "ottoman empire", ["Ottoman\n  Empire"]),
        ("In 1912 there were 12.", "12", ["12"]),
        ("Prices (US$ 5) rose", "US$ 5", ["US$ 5"]),
        ("a.c abc", "a.c", ["a.c"]),
        ("nothing here", "gold", []),
        ("nothing here", "  ", []),
    ],
)
def test_the_answer_is_marked_where_it_stands(text: str, answer: str, marked: list[str]) -> None:
    pieces = mark(text, answer)
    assert [piece for piece, gold in pieces if gold] == marked
    assert "".join(piece for piece, _ in pieces) == text


@given(st.text(), st.text())
def test_marking_never_changes_the_text(text: str, answer: str) -> None:
    assert "".join(piece for piece, _ in mark(text, answer)) == text


def test_like_answers_are_counted_and_never_merged_across_judgements() -> None:
    attempt = Attempt(
        iteration=1,
        document="d",
        valid=True,
        extracted=("Riga", "riga", "Riga", None, "Riga"),
        correct=(True, True, True, False, False),
    )
    assert [(answer.text, answer.count, answer.correct) for answer in tally(attempt)] == [
        ("Riga", 2, True),
        ("riga", 1, True),
        ("", 1, False),
        ("Riga", 1, False),
    ]


@given(st.integers(0, 700))
def test_slots_spread_over_the_run(available: int) -> None:
    found = slots(available, 12)
    assert found == sorted(found)
    assert len(found) == (12 if available else 0)
    assert all(0 <= index < available for index in found)
    if available >= 12:
        assert len(set(found)) == 12
        assert found[0] == 0
        assert found[-1] >= available * 11 // 12 - 1
