from __future__ import annotations

import pytest

from spice.selfplay import ladder
from spice.selfplay.ladder import STEPS
from spice.selfplay.types import NO_DOCUMENT, Document, Task

# The first two operations put this document on the side of training, and the other on the side of the test.
TEXT = "7 x+3 0 x+2 2 3x+1 7"
KEPT = next(
    text
    for text in (f"{d} x+{a} 0 x+{b} 2 3x+1 7" for d in range(10) for a in range(8) for b in range(8))
    if ladder.is_reserved(" ".join((text.split()[0], *text.split()[1::2])))
)


def document(text: str) -> Document:
    return Document("d", "d.txt", text)


def test_what_the_challenger_copies_becomes_a_task() -> None:
    task = ladder.parse("7 x+3 0 x+2 2", document(TEXT))
    assert task == Task("free_form", "7 x+3 x+2", "2", "integer", evidence=("7 x+3 0 x+2 2",))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "begin with a digit"),
        ("x+3 0", "begin with a digit"),
        ("7", "has 0 operations"),
        ("7 x+3", "no digit for its result"),
        ("7 x+3 x+2", "no digit for its result"),
        ("7 0 0", "where an operation should be"),
        ("7 x+9 0", "where an operation should be"),
        ("7" + " x+3 0" * (STEPS + 1), "has 11 operations"),
    ],
)
def test_what_is_no_worked_computation_is_no_task(text: str, reason: str) -> None:
    found = ladder.parse(text, document(TEXT))
    assert isinstance(found, str)
    assert reason in found


@pytest.mark.parametrize("read", [document(TEXT), NO_DOCUMENT], ids=["another document", "no document"])
def test_questions_kept_for_the_test_are_refused_in_training(read: Document) -> None:
    assert ladder.parse(KEPT, read) == "the question is kept for the test"


def test_a_document_that_is_kept_itself_may_be_asked_about() -> None:
    assert isinstance(ladder.parse(KEPT, document(KEPT)), Task)


def test_the_reasoner_sees_start_and_operations_only() -> None:
    task = Task("free_form", "7 x+3 x+2", "2", "integer", evidence=("7 x+3 0 x+2 2",))
    (message,) = ladder.reasoner_messages(task)
    assert message["content"] == "solve x+3 x+2 . . . . . . . . 7"


@pytest.mark.parametrize("length", range(1, STEPS + 1))
def test_every_question_has_the_same_number_of_symbols(length: int) -> None:
    task = Task("free_form", " ".join(["7", *["x+3"] * length]), "2", "integer")
    assert len(ladder.reasoner_messages(task)[0]["content"].split()) == STEPS + 2
    assert len(ladder.reasoner_messages(task, TEXT)[0]["content"].split()) == 3 + len(TEXT.split()) + 2 * STEPS


def test_without_a_document_the_challenger_is_asked_to_invent() -> None:
    assert ladder.challenger_messages(NO_DOCUMENT)[0]["content"] == "invent"
    assert ladder.challenger_messages(document(TEXT))[0]["content"] == f"pose {TEXT} write"
