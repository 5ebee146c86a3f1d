from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spice.errors import ConfigError
from spice.evaluation.user import load_suite

GOOD = {"id": "a", "question": "What is 2 + 2?", "answer": "4", "answer_type": "integer"}
CHOICE = {"id": "b", "question": "Which?", "answer": "red", "options": ["red", "blue"], "cluster": "colours"}


def write(folder: Path, *lines: object) -> Path:
    path = folder / "policies.jsonl"
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines))
    return path


def test_items_of_a_good_file(tmp_path: Path) -> None:
    suite = load_suite(write(tmp_path, GOOD, "", CHOICE))
    assert (suite.name, suite.kind, suite.grade) == ("policies", "user", None)
    first, second = suite.items
    assert (first.id, first.cluster, first.task.format, first.task.answer_type) == ("a", "a", "free_form", "integer")
    assert (second.cluster, second.task.options, second.task.letter) == ("colours", ("red", "blue"), "A")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ((GOOD, "{"), "line 2: Invalid JSON"),
        ((GOOD, "", "[]"), "line 3: Input should be an object"),
        (({**GOOD, "question": ""},), "line 1: question: String should have at least 1 character"),
        (({k: v for k, v in GOOD.items() if k != "answer"},), "line 1: answer: Field required"),
        (({**GOOD, "answr": "4"},), "line 1: answr: Extra inputs"),
        (({**GOOD, "answer_type": "essay"},), "line 1: answer_type: Input should be 'integer', 'expression' or"),
        (({**GOOD, "answer": 4},), "line 1: answer: Input should be a valid string"),
        ((GOOD, GOOD), "line 2: the id 'a' was used before"),
        (({**CHOICE, "answer": "Red"},), "line 1: .*must be one of the options"),
        (({**CHOICE, "options": ["red"]},), "line 1: .*two or more options"),
        (({**CHOICE, "options": ["red", " RED "]},), "line 1: .*no two alike"),
        (({**CHOICE, "options": ["red", *map(str, range(10))]},), "line 1: options: .*at most 10"),
        (("",), "holds no items"),
        (("x" * 1_000_001,), "line 1: longer than 1,000,000 bytes"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, lines: tuple[object, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_suite(write(tmp_path, *lines))


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load_suite(tmp_path / "none.jsonl")
    with pytest.raises(ConfigError, match="Is a directory"):
        load_suite(tmp_path)


def test_invalid_utf8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "latin.jsonl"
    path.write_bytes('{"id": "ä", "question": "q", "answer": "a"}'.encode("latin-1"))
    with pytest.raises(ConfigError, match="line 1"):
        load_suite(path)


@given(st.binary(max_size=300))
def test_any_bytes_are_either_a_suite_or_a_config_error(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("suite") / "any.jsonl"
    path.write_bytes(data)
    with pytest.raises(ConfigError):
        load_suite(path)


def test_the_documented_example_is_valid(tmp_path: Path) -> None:
    page = Path(__file__).parents[2] / "docs" / "evaluation-suites.md"
    example = page.read_text().split("```jsonl\n")[1].split("```")[0]
    assert len(load_suite(write(tmp_path, example)).items) == 4
