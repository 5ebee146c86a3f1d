import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spice.selfplay.archive import QuestionArchive
from spice.selfplay.similarity import Extraction, compression_ratio, distinct_n, extraction

DOCUMENT = "The Sella Bridge was opened on 3 May 1911 and has seven arches."
words = st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=30).map(" ".join)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("When was the Sella Bridge opened?", Extraction(3, 5 / 6, 11 / 6, 3 / 6)),  # was | the Sella Bridge | opened
        ("THE SELLA BRIDGE WAS", Extraction(4, 1.0, 4.0, 1.0)),
        ("Who?", Extraction(0, 0.0, 0.0, 0.0)),
        ("", Extraction(0, 0.0, 0.0, 0.0)),
    ],
)
def test_extraction(text, expected):
    assert extraction(text, DOCUMENT) == pytest.approx(expected)


@given(words, words)
def test_the_longest_run_is_the_longest_common_one(text, document):
    tokens, source = text.split(), f" {document} "
    runs = [
        length
        for length in range(1, len(tokens) + 1)
        if any(f" {' '.join(tokens[i : i + length])} " in source for i in range(len(tokens) - length + 1))
    ]
    found = extraction(text, document)

    # Greedy fragments may split a longer run that starts inside an earlier one, but never beat it.
    assert found.longest <= max(runs, default=0)
    assert (found.longest > 0) == bool(runs)
    assert found.coverage <= 1.0


@given(words.filter(bool))
def test_a_copy_is_one_run(text):
    n = len(text.split())

    assert extraction(text, f"x {text} y") == Extraction(n, 1.0, n, float(n >= 3))


@pytest.mark.parametrize(
    ("texts", "n", "expected"),
    [(["a b c"], 2, 1.0), (["a b", "A b."], 2, 0.5), (["a b a b"], 2, 2 / 3), (["a"], 2, 0.0), ([], 1, 0.0)],
)
def test_distinct_n(texts, n, expected):
    assert distinct_n(texts, n) == pytest.approx(expected)


def test_alike_texts_compress_better():
    different = [f"{i * 7919:x} {i * 104729:x} {i * 1299709:x}" for i in range(50)]

    assert compression_ratio(["What is the capital of Latvia?"] * 50) > 3 * compression_ratio(different)


def test_archive_knows_what_was_asked_before():
    archive = QuestionArchive()
    assert not archive.seen("What is the capital of Latvia?")

    archive.add(["What is the capital of Latvia?"])

    assert archive.seen("what is  the capital of Latvia?")
    assert archive.seen("What is the capital of Latvia")
    assert not archive.seen("What is the capital of Estonia?")
    assert not archive.seen("")


@given(st.lists(st.text(max_size=40), max_size=20))
def test_archive_finds_every_question_again(questions):
    archive = QuestionArchive(capacity=64)
    archive.add(questions)

    assert len(archive) == len(questions)
    assert all(archive.seen(question) for question in questions)


def test_archive_finds_equal_questions_again_however_alike_all_are():
    """Three digits and two operations make many questions and few shingles."""
    rng = random.Random(0)
    questions = ["".join(rng.choice(("x+1 ", "x+2 ", "3x+1 ")) for _ in range(9)) for _ in range(5000)]
    archive = QuestionArchive()
    archive.add(questions)

    assert all(archive.seen(question) for question in questions)


def test_archive_forgets_the_oldest():
    archive = QuestionArchive(capacity=2)
    archive.add(["Who built the bridge?", "When does the lake freeze?", "How high is the tower?"])

    assert len(archive) == 2
    assert not archive.seen("Who built the bridge?")
    assert archive.seen("When does the lake freeze?")
    assert archive.seen("How high is the tower?")


def test_an_archive_finds_what_it_was_told_however_much_came_after():
    archive = QuestionArchive()
    early = [f"Which river of country {i * 7919} is the longest of all its rivers?" for i in range(3)]
    archive.add(early)
    # Past the size that it begins with, so that all is hashed anew.
    archive.add([f"{i} {i * i} {i * i * i} {i * 31}" for i in range(4200)])

    assert len(archive) == 4203
    assert all(archive.seen(question) for question in early)
    assert not archive.seen("Who wrote the opera that tells of a gardener of glass?")


def test_an_archive_forgets_the_oldest_beyond_its_capacity():
    archive = QuestionArchive(capacity=2)
    archive.add(["What is the first of the questions?", "Who asked another thing altogether?", "When did it happen?"])

    assert len(archive) == 2
    assert not archive.seen("What is the first of the questions?")
    assert archive.seen("Who asked another thing altogether?") and archive.seen("When did it happen?")
