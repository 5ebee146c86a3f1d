"""Sentences with a blank: they stand alone, keep the answer to themselves, and come from the document."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spice.config import RecipeConfig
from spice.selfplay import short
from spice.selfplay.blanks import BLANK, blank_out, blanked_sentences
from spice.selfplay.types import Document, Task
from spice.text.spans import SpanIndex, find_spans

TEXT = (
    "Tokelau has three atolls and no harbour of its own. It was annexed by Great Britain in 1889. "
    "The highest point of Tokelau is 5 m above the sea. Ships from Samoa reach Tokelau in a day."
)
ATOLLS = Document("a", "tokelau.md", TEXT, "Tokelau")
OTHERS = [
    Document("b", "b.md", "The capital of Norway is Oslo. The king of Sweden lives in Stockholm.", "Norway"),
    Document("c", "c.md", "The river Elbe passes Dresden. Ships from Hamburg reach Cuxhaven in a day.", "Elbe"),
]


@pytest.mark.parametrize(
    ("sentence", "answer", "title", "expected"),
    [
        ("Ships from Samoa reach Tokelau.", "Samoa", "Tokelau", "Ships from ____ reach Tokelau."),
        ("It was annexed by Great Britain.", "Great Britain", "Tokelau", "Tokelau: It was annexed by ____."),
        ("It was annexed by Great Britain.", "Great Britain", "", None),
        ("Ships from Samoa reach Tokelau.", "Samoa", "", "Ships from ____ reach Tokelau."),
        ("Ships from Samoa reach Tokelau.", "Tokelau", "Tokelau", "Ships from Samoa reach ____."),
        ("Samoa is larger than all other islands of Samoa.", "Samoa", "Tokelau", None),
    ],
)
def test_a_blanked_sentence_makes_sense_alone_or_is_not_used(sentence, answer, title, expected):
    spans = find_spans(sentence)
    span = next(span for span in spans if span.text == answer)
    assert blank_out(sentence, span, spans, title) == expected


def test_filled_in_it_is_the_documents_sentence():
    found = list(blanked_sentences(ATOLLS, ["Samoa", "Great Britain", "Oslo"]))
    assert [answer for answer, _ in found] == ["Great Britain", "Samoa"]
    for answer, shown in found:
        assert shown.removeprefix("Tokelau: ").replace(BLANK, answer) in TEXT


@given(st.text(alphabet="ABab .,?!\n:_\"'", max_size=300))
def test_no_text_breaks_it(text):
    for answer, shown in blanked_sentences(Document("x", "x", text), [span.text for span in find_spans(text)]):
        assert shown.count(BLANK) >= 1 and answer in text


def test_the_grammar_offers_the_blanks_and_each_parses_to_a_task_with_the_right_answer():
    recipe = RecipeConfig(template="short", span_answers=True, question_forms=("blank",), answer_kinds=("name",))
    index = SpanIndex((each.id, each.text) for each in (ATOLLS, *OTHERS))
    grammar = short.grammar(ATOLLS, recipe, index)
    for answer, shown in blanked_sentences(ATOLLS, ["Samoa", "Great Britain"]):
        text = f"{answer}\nQuestion: {short.fill_in(shown)}"
        assert text.replace("\n", "\\n").replace('"', '\\"') in grammar
        task = short.parse(f"Answer: {text}", ATOLLS, "multiple_choice", index, random.Random(0))
        assert isinstance(task, Task)
        assert (task.answer, task.question) == (answer, short.fill_in(shown))
    assert "Who" not in grammar
