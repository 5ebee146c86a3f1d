import pytest

from spice.errors import ConfigError
from spice.selfplay.questions import parse, read_file
from spice.selfplay.types import Task

GOOD = (
    b'{"question": "How much is 2 + 2?", "answer": "4", "answer_type": "integer"}\n\n'
    b'{"id": "q2", "question": "Who flies?", "answer": "bee", "options": ["ant", "bee"]}\n'
)


def test_a_question_set_is_read_in_order():
    assert parse(GOOD, "set") == [
        ("set:1", Task("free_form", "How much is 2 + 2?", "4", "integer")),
        ("q2", Task("multiple_choice", "Who flies?", "bee", options=("ant", "bee"))),
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{", "line 1: Invalid JSON"),
        (b'{"question": "x"}', "line 1: answer: Field required"),
        (b'{"question": "x", "answer": "y", "option": []}', "line 1: option: Extra inputs"),
        (b'{"question": "x", "answer": "y", "options": ["a", "b"]}', "line 1: the answer is not one of the options"),
        (b'{"question": "x", "answer": "four", "answer_type": "integer"}', "line 1: the answer is not an integer"),
        (b"\n", "holds no question"),
        (b'\xff{"question"', "line 1: "),
    ],
)
def test_what_is_no_question_set_is_refused(line, message):
    with pytest.raises(ConfigError, match=message):
        parse(line, "set")


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigError, match="question_set"):
        read_file(str(tmp_path / "none.jsonl"))
