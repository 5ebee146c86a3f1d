from __future__ import annotations

import numpy as np
import pytest

from spice.arena.lessons import Lesson, Teacher
from spice.arena.model import END, PAD, VOCABULARY
from spice.arena.world import LADDER, Beliefs, beliefs, work_out
from spice.selfplay import ladder
from spice.selfplay.types import NO_DOCUMENT, Document, Task

HELD = beliefs(LADDER, 0)


@pytest.fixture
def teacher() -> Teacher:
    return Teacher(LADDER, HELD, np.random.default_rng(0))


def words(ids: np.ndarray) -> list[str]:
    return [VOCABULARY[i] for i in ids if VOCABULARY[i] != PAD]


def split(lesson: Lesson, row: int) -> tuple[str, list[str]]:
    """The prompt and the continuation."""
    all_words = words(lesson.ids[row])
    return " ".join(all_words[: lesson.first + 1]), all_words[lesson.first + 1 :]


@pytest.mark.parametrize("name", ["pose", "invent", "solve", "read"])
def test_wanted_are_distributions_that_the_sequence_is_drawn_from(teacher: Teacher, name: str) -> None:
    lesson = getattr(teacher, name)(20)
    sums = lesson.wanted.sum(axis=-1)
    assert np.all(np.isclose(sums, 1.0, atol=1e-5) | (sums == 0))
    for row in range(20):
        _, rest = split(lesson, row)
        for place, word in enumerate(rest):
            assert lesson.wanted[row, place, VOCABULARY.index(word)] > 0
        # What ends every sequence is the end.
        assert lesson.wanted[row, len(rest)].argmax() == VOCABULARY.index(END)
        assert not sums[row, len(rest) + 1 :].any()


def test_prompts_are_those_of_self_play(teacher: Teacher) -> None:
    prompt, copied = split(teacher.pose(1), 0)
    document = Document("d", "d.txt", " ".join(copied))
    assert ladder.challenger_messages(document)[0]["content"] == prompt
    assert split(teacher.invent(1), 0)[0] == ladder.challenger_messages(NO_DOCUMENT)[0]["content"]
    lesson = teacher.solve(20)
    for row in range(20):
        prompt, _ = split(lesson, row)
        *operations, start = [word for word in prompt.split()[1:] if word != ladder.EMPTY]
        task = Task("free_form", " ".join([start, *operations]), "0", "integer")
        assert ladder.reasoner_messages(task)[0]["content"] == prompt


def test_the_open_book_prompt_is_that_of_the_audit(teacher: Teacher) -> None:
    lesson = teacher.read(30)
    for row in range(30):
        prompt, answer = split(lesson, row)
        document = " ".join(prompt.split()[1 : 2 + 2 * ladder.STEPS])
        *copied, box = answer
        task = Task("free_form", " ".join([document[0], *copied[::2]]), copied[-1], "integer")
        assert ladder.reasoner_messages(task, document)[0]["content"] == prompt
        assert document[2:].startswith(" ".join(copied))
        assert box == f"\\boxed{{{copied[-1]}}}"


def test_documents_are_true(teacher: Teacher) -> None:
    _, copied = split(teacher.pose(2), 0)
    assert work_out(copied[0], copied[1::2]).text == " ".join(copied)


@pytest.mark.parametrize(
    ("shortest", "expected"),
    [(None, [0.3 * 0.7**n for n in range(9)] + [0.7**9]), (4, [0.0] * 3 + [1 / 7] * 7)],
    ids=["a habit of easy questions", "the strong Challenger"],
)
def test_how_often_each_length_is_asked(shortest: int | None, expected: list[float]) -> None:
    lesson = Teacher(LADDER, HELD, np.random.default_rng(0), shortest).pose(1)
    stops = lesson.wanted[0, 3::2, VOCABULARY.index(END)]
    reached = np.concatenate([[1.0], np.cumprod(1 - stops)[:-1]])
    assert np.allclose(reached * stops, expected, atol=1e-6)


def test_answers_follow_the_beliefs() -> None:
    sure = Beliefs(np.full_like(HELD.known, 1.0), HELD.mistaken)
    lesson = Teacher(LADDER, sure, np.random.default_rng(0)).solve(10)
    for row in range(10):
        prompt, (*results, box) = split(lesson, row)
        *operations, start = [word for word in prompt.split()[1:] if word != ladder.EMPTY]
        assert tuple(results) == work_out(start, operations).results
        assert box == f"\\boxed{{{results[-1]}}}"
