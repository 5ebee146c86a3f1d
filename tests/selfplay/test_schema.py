import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spice.selfplay.schema import challenger_schema, parse_full
from spice.selfplay.types import Task

MULTIPLE_CHOICE = {
    "evidence": ["Riga lies on the Baltic Sea."],
    "question": "Which Baltic capital lies north of Vilnius and south of Tallinn?",
    "options": ["Oslo", "Riga", "Berlin", "Minsk"],
    "solution": "Vilnius lies south of Riga, Tallinn north of it.",
    "letter": "B",
    "answer": "Riga",
    "answer_type": "string",
    "difficulty": "easy",
}
FREE_FORM = {
    "evidence": ["The bridge has seven arches of 12 m each."],
    "question": "How many metres do the arches of the Sella Bridge span in all?",
    "solution": "7 times 12 is 84.",
    "answer": "84",
    "answer_type": "integer",
    "difficulty": "medium",
}


def test_multiple_choice():
    assert parse_full(json.dumps(MULTIPLE_CHOICE), "multiple_choice") == Task(
        format="multiple_choice",
        question="Which Baltic capital lies north of Vilnius and south of Tallinn?",
        answer="Riga",
        options=("Oslo", "Riga", "Berlin", "Minsk"),
        evidence=("Riga lies on the Baltic Sea.",),
        solution="Vilnius lies south of Riga, Tallinn north of it.",
        difficulty="easy",
    )


@pytest.mark.parametrize(("answer_type", "answer"), [("integer", "84"), ("expression", "7 x"), ("string", "Riga")])
def test_free_form(answer_type, answer):
    task = parse_full(json.dumps(FREE_FORM | {"answer_type": answer_type, "answer": answer}), "free_form")

    assert (task.format, task.answer_type, task.answer, task.options) == ("free_form", answer_type, answer, ())


@pytest.mark.parametrize("answer", ["B", "(B)", "B. Riga", "riga"])
def test_answer_may_repeat_the_letter(answer):
    assert parse_full(json.dumps(MULTIPLE_CHOICE | {"answer": answer}), "multiple_choice").answer == "Riga"


def test_letters_in_front_of_all_options_are_dropped():
    options = ["A. Oslo", "B) Riga", "(C) Berlin", "D: Minsk"]

    task = parse_full(json.dumps(MULTIPLE_CHOICE | {"options": options, "answer": "B) Riga"}), "multiple_choice")

    assert task.options == ("Oslo", "Riga", "Berlin", "Minsk")


def test_letters_in_front_of_some_options_are_part_of_them():
    options = ["A. Smith", "B. Jones", "Clark", "Dean"]

    task = parse_full(json.dumps(MULTIPLE_CHOICE | {"options": options, "answer": "B. Jones"}), "multiple_choice")

    assert task.options == tuple(options)


@pytest.mark.parametrize("frame", ["```json\n{}\n```", "Here it is: {}", "{}\n\nIs it good?", "{} {{}}"])
def test_text_around_the_object_is_passed_over(frame):
    assert isinstance(parse_full(frame.format(json.dumps(FREE_FORM)), "free_form"), Task)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"letter": "A"}, "letter and answer"),
        ({"answer": "Paris"}, "letter and answer"),
        ({"options": ["Riga", "riga", "Oslo", "Minsk"]}, "letter and answer"),
        ({"options": ["Oslo", "Riga", "Berlin"]}, "options"),
        ({"options": ["Oslo", "Riga", "Berlin", "Minsk", "Rome"]}, "options"),
        ({"options": ["Oslo", "Riga", 3, "Minsk"]}, "options.2"),
        ({"letter": "E"}, "letter"),
        ({"evidence": []}, "evidence"),
        ({"question": "Why?"}, "question"),
        ({"question": "x" * 801}, "question"),
        ({"question": "\ud800" * 20}, "question"),
        ({"solution": None}, "solution"),
        ({"difficulty": "impossible"}, "difficulty"),
        ({"answer_type": "integer"}, "answer_type"),
        ({"hint": "none"}, "hint"),
    ],
)
def test_what_does_not_fit_the_schema_has_a_reason(change, reason):
    assert parse_full(json.dumps(MULTIPLE_CHOICE | change), "multiple_choice").startswith(reason)


@pytest.mark.parametrize(
    "text", ["", "no", "[]", "{", '{"a": ' * 100_000, '{"a": ' + "9" * 5000 + "}", "{'a': 1}", "{}"]
)
def test_what_is_no_object_has_a_reason(text):
    assert isinstance(parse_full(text, "free_form"), str)


@given(st.integers(0, len(json.dumps(FREE_FORM)) - 1))
def test_a_truncated_object_is_no_task(length):
    assert isinstance(parse_full(json.dumps(FREE_FORM)[:length], "free_form"), str)


@given(st.text() | st.recursive(st.none() | st.floats() | st.text(), st.lists).map(json.dumps))
def test_never_raises(text):
    assert isinstance(parse_full(text, "multiple_choice"), str)


@pytest.mark.parametrize(("task_format", "example"), [("multiple_choice", MULTIPLE_CHOICE), ("free_form", FREE_FORM)])
def test_schema_names_every_field_as_required_and_caps_every_string(task_format, example):
    schema = challenger_schema(task_format)

    assert schema["required"] == list(schema["properties"]) == list(example)
    assert schema["additionalProperties"] is False
    for field in schema["properties"].values():
        item = field.get("items", field)
        assert "maxLength" in item or "enum" in item or "const" in item


@pytest.mark.torch
@pytest.mark.parametrize("task_format", ["multiple_choice", "free_form"])
def test_schema_is_understood_by_the_grammar_compiler(task_format):
    llguidance = pytest.importorskip("llguidance")

    grammar = llguidance.LLMatcher.grammar_from_json_schema(challenger_schema(task_format))

    assert not llguidance.LLMatcher.validate_grammar(grammar)
