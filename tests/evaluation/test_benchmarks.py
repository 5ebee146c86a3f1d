"""Rows shaped like those of the eleven data sets, from local folders laid out as on the hub."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from spice.config import EvaluationConfig, StoreConfig
from spice.errors import ConfigError, CorpusError, IntegrityError
from spice.evaluation import benchmark_suite, benchmarks, rows, suites
from spice.evaluation.benchmarks import BENCHMARKS, Benchmark
from spice.evaluation.extraction import grade_exact, letter_of
from spice.store import open_store
from spice.store.base import ObjectStore

BY_NAME = {benchmark.name: benchmark for benchmark in BENCHMARKS}
TEN = [f"option number {i}" for i in range(10)]

# Two rows of each: what the columns hold is what the data sets hold, the words are ours.
ROWS: dict[str, list[dict[str, Any]]] = {
    "amc": [{"id": 0, "problem": "What is $6\\cdot 7$?", "answer": 42.0, "url": "u"}] * 2,
    "minerva": [{"question": "How far does light go in a second?", "answer": "3 \\times 10^8"}] * 2,
    "math500": [{"problem": "Halve $x$.", "answer": "\\frac{x}{2}", "solution": "s", "subject": "Algebra"}] * 2,
    "gsm8k": [{"question": "Ann has 3 pens and buys 4.", "answer": "3 + 4 = <<3+4=7>>7\n#### 1,007"}] * 2,
    "olympiadbench": [{"question": "Find $n$.", "final_answer": ["$2$"], "is_multiple_answer": False}] * 2,
    "aime24": [{"id": 60, "problem": "Find $m+n$.", "answer": "204", "solution": "s", "year": "2024"}] * 2,
    "aime25": [{"id": "0", "problem": "Find $m+n$.", "answer": "070"}] * 2,
    "supergpqa": [{"question": "Which?", "options": TEN, "answer": TEN[9], "answer_letter": "J", "field": "f"}] * 2,
    "gpqa_diamond": [
        {
            "Question": "Which?", "Correct Answer": "right\n", "Incorrect Answer 1": "a", "Incorrect Answer 2": "b",
            "Incorrect Answer 3": "c", "Record ID": "rec",
        }
    ] * 2,
    "mmlu_pro": [{"question": "Which?", "options": TEN[:9], "answer": "I", "answer_index": 8, "category": "law"}] * 2,
    "bbeh": [{"input": "Is it so? Options: (A) yes (B) no", "target": "(B)", "task": "t", "mini": 1}] * 2,
}  # fmt: skip
GOLD = {
    "amc": "42", "minerva": "3 \\times 10^8", "math500": "\\frac{x}{2}", "gsm8k": "1,007", "olympiadbench": "$2$",
    "aime24": "204", "aime25": "070", "supergpqa": TEN[9], "gpqa_diamond": "right", "mmlu_pro": TEN[8], "bbeh": "(B)",
}  # fmt: skip


def mirror(folder: Path, benchmark: Benchmark, contents: list[dict[str, Any]]) -> Path:
    """A copy of a hub repository: its card names the files of each configuration and split."""
    place = folder / benchmark.hub_id
    place.mkdir(parents=True)
    card = (
        f"---\nconfigs:\n- config_name: {benchmark.config or 'default'}\n  data_files:\n"
        f"  - split: {benchmark.split}\n    path: rows.jsonl\n---\n"
    )
    (place / "README.md").write_text(card)
    (place / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in contents))
    return folder


@pytest.fixture
def copies(tmp_path: Path) -> ObjectStore:
    return open_store(StoreConfig(url=str(tmp_path / "benchmarks")))


def test_the_eleven_of_the_paper_are_there() -> None:
    groups = [benchmark.group for benchmark in BENCHMARKS]
    assert (groups.count("mathematics"), groups.count("general")) == (7, 4)
    assert {b.name: (b.samples, b.temperature) for b in BENCHMARKS if b.samples > 1} == {
        "aime24": (32, 0.6), "aime25": (32, 0.6),
    }  # fmt: skip
    assert all(b.licence and b.size and "{question}" in b.prompt for b in BENCHMARKS)
    assert benchmarks.chosen(["all"]) == list(BENCHMARKS)
    assert [b.name for b in benchmarks.chosen(["gsm8k", "amc"])] == ["amc", "gsm8k"]
    with pytest.raises(ConfigError, match="there is no 'mmlu-pro'; the nearest is 'mmlu_pro'"):
        benchmarks.chosen(["mmlu-pro"])


@pytest.mark.parametrize("name", list(BY_NAME))
def test_rows_of_each_become_items(name: str) -> None:
    benchmark = BY_NAME[name]
    suite = benchmark_suite.build_suite(benchmark, ROWS[name], 0, 7)
    assert len(suite.items) == 2 * benchmark.samples
    first = suite.items[0]
    assert first.task.answer == GOLD[name]
    assert first.task.question in first.source_text
    assert suite.metric == benchmark.metric
    if benchmark.extraction == "letter":
        assert suite.grade is not None
        letter = "ABCDEFGHIJ"[first.task.options.index(GOLD[name])]
        right, wrong, none = suite.grade([(f"so \\boxed{{{letter}}}", first), ("\\boxed{Z}", first), ("hm", first)])
        assert (right.correct, wrong.correct, none.extracted) == (True, False, None)


@pytest.mark.parametrize("name", ["gsm8k", "supergpqa", "olympiadbench"])
def test_from_a_copy_of_the_hub_to_a_store_and_back(name: str, tmp_path: Path, copies: ObjectStore) -> None:
    pytest.importorskip("datasets", reason="NO DATASETS: install the hub extra")
    benchmark = BY_NAME[name]
    folder = mirror(tmp_path / "mirror", benchmark, ROWS[name])
    ref = rows.fetch(benchmark, copies, folder)
    assert ref.startswith(f"benchmarks/{name}/")
    assert rows.fetch(benchmark, copies, folder) == ref
    expected = [{column: row[column] for column in benchmark.columns.names} for row in ROWS[name]]
    assert rows.from_copies(benchmark, copies) == expected
    assert rows.from_hub(benchmark, folder) == expected


def test_another_data_set_of_that_name_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("datasets", reason="NO DATASETS: install the hub extra")
    folder = mirror(tmp_path, BY_NAME["gsm8k"], [{"question": "q", "solution": "s"}])
    with pytest.raises(CorpusError, match="no column answer, but question, solution"):
        rows.from_hub(BY_NAME["gsm8k"], folder)


def test_what_cannot_be_had_is_said_with_a_way_out(tmp_path: Path, copies: ObjectStore) -> None:
    with pytest.raises(ConfigError, match=r"no copy of gsm8k in .*spice suites fetch gsm8k --to"):
        suites.build(EvaluationConfig(cloze_items=0, reasoning_items=0, benchmarks=("gsm8k",)), [], copies=copies)
    pytest.importorskip("datasets", reason="NO DATASETS: install the hub extra")
    with pytest.raises(ConfigError, match="holds no folder openai/gsm8k"):
        rows.from_hub(BY_NAME["gsm8k"], tmp_path)
    (tmp_path / "Idavidrein" / "gpqa").mkdir(parents=True)
    with pytest.raises(ConfigError, match=r"gpqa_diamond .* cannot be loaded.*terms must be accepted.*benchmark_store"):
        rows.from_hub(BY_NAME["gpqa_diamond"], tmp_path)


def test_a_damaged_copy_is_found(tmp_path: Path, copies: ObjectStore) -> None:
    pytest.importorskip("datasets", reason="NO DATASETS: install the hub extra")
    ref = rows.fetch(BY_NAME["bbeh"], copies, mirror(tmp_path / "mirror", BY_NAME["bbeh"], ROWS["bbeh"]))
    copies.put(f"{ref}/rows.parquet", b"something else")
    with pytest.raises(IntegrityError):
        rows.from_copies(BY_NAME["bbeh"], copies)


def test_benchmarks_have_credentials_of_their_own(tmp_path: Path) -> None:
    training = StoreConfig(url="s3://spice/store", endpoint="127.0.0.1:1", secure=False)
    ours = {"SPICE_S3_ACCESS_KEY": "a", "SPICE_S3_SECRET_KEY": "b", "AWS_ACCESS_KEY_ID": "a"}
    with pytest.raises(ConfigError, match="SPICE_BENCHMARKS_S3_ACCESS_KEY is not set"):
        rows.open_copies("s3://benchmarks", training, ours)
    theirs = {"SPICE_BENCHMARKS_S3_ACCESS_KEY": "c", "SPICE_BENCHMARKS_S3_SECRET_KEY": "d"}
    assert rows.open_copies("s3://benchmarks", training, {**ours, **theirs}).url == "s3://benchmarks"
    for place in ("s3://spice/store", "s3://spice/store/benchmarks", "s3://spice"):
        with pytest.raises(ConfigError, match="which training can read"):
            rows.open_copies(place, training, {**ours, **theirs})
    folder = StoreConfig(url=str(tmp_path / "store"))
    with pytest.raises(ConfigError, match="which training can read"):
        rows.open_copies(str(tmp_path / "store" / "benchmarks"), folder, {})
    with pytest.raises(ConfigError, match="which training can read"):
        rows.open_copies("./copies/../store/x", StoreConfig(url="store"), {})
    rows.open_copies(str(tmp_path / "store-of-benchmarks"), folder, {})


def test_samples_share_a_cluster_and_are_checked_for_leaks_once() -> None:
    suite = benchmark_suite.build_suite(BY_NAME["aime24"], ROWS["aime24"], 0, 7)
    assert len({item.id for item in suite.items}) == 64
    assert len({item.cluster for item in suite.items}) == 2
    assert suite.temperature == 0.6
    assert len(suites.unique_items([suite])["aime24"]) == 2


def test_a_part_is_drawn_by_seed_and_options_do_not_depend_on_it() -> None:
    many = [{**ROWS["gpqa_diamond"][0], "Question": f"Which {i}?"} for i in range(60)]
    benchmark = BY_NAME["gpqa_diamond"]
    whole = {item.id: item for item in benchmark_suite.build_suite(benchmark, many, 0, 7).items}
    part = benchmark_suite.build_suite(benchmark, many, 10, 7)
    assert part == benchmark_suite.build_suite(benchmark, many, 10, 7)
    assert all(whole[item.id] == item for item in part.items)
    assert {item.id for item in part.items} != {i.id for i in benchmark_suite.build_suite(benchmark, many, 10, 8).items}
    assert len({item.task.options.index("right") for item in whole.values()}) == 4


@pytest.mark.parametrize(
    ("name", "change", "problem"),
    [
        ("gsm8k", {"answer": "seven"}, "does not end in ####"),
        ("mmlu_pro", {"answer_index": 9}, "'answer_index' is 9, and there are 9 options"),
        ("supergpqa", {"answer_letter": "K"}, "is 'K'"),
        ("supergpqa", {"options": ["one"]}, "1 options; 2 to 10"),
        ("supergpqa", {"options": "A B"}, "holds no list of texts"),
        ("olympiadbench", {"final_answer": []}, "no list with an answer"),
        ("math500", {"problem": " "}, "'problem' is empty"),
        ("minerva", {"answer": None}, "'answer' is empty"),
    ],
)
def test_a_row_that_is_not_as_described_is_named(name: str, change: dict[str, Any], problem: str) -> None:
    bad = [ROWS[name][0], {**ROWS[name][0], **change}]
    with pytest.raises(CorpusError, match=rf"row 1 of {BY_NAME[name].hub_id}: .*{problem}"):
        benchmark_suite.build_suite(BY_NAME[name], bad, 0, 7)


@pytest.mark.parametrize(
    ("response", "letter"),
    [
        ("\\boxed{J}", "J"),
        ("\\boxed{\\text{(c)}}", "C"),
        ("\\boxed{option number 3}", "D"),
        ("The answer is (B). No: the answer is D.", "D"),
        ("Answer: c", "C"),
        ("**Answer:** E", None),
        ("the answer is $\\boxed{F", "F"),
        ("The answer is A, but \\boxed{B}", "B"),
        ("The answer is \\boxed{K}", None),
        ("A man said so", None),
        ("The answer is about ten", None),
        ("The answer is Egypt", None),
        ("", None),
    ],
)
def test_the_letter_that_a_response_settles_on(response: str, letter: str | None) -> None:
    assert letter_of(response, TEN) == letter


@pytest.mark.parametrize(
    ("gold", "response", "right"),
    [
        ("(B)", "\\boxed{B}", True),
        ("a", "Ok. The answer is: (A)", True),
        ("2,3,4", "The final answer is: 2, 3, 4.", True),
        ("25.0", "The answer is: **25**\nHere is why.", True),
        ("yes", "The answer is no. Wait, the answer is Yes.", True),
        ("it's", "\\boxed{its}", True),
        ("unknown", "\\boxed{\\text{Unknown}}", True),
        ("2,3,4", "\\boxed{2,3,5}", False),
        ("25", "\\boxed{26}", False),
        ("nan", "", False),
        ("yes", "yes", False),
    ],
)
def test_short_answers_must_be_the_same(gold: str, response: str, right: bool) -> None:
    (item,) = benchmark_suite.build_suite(BY_NAME["bbeh"], [{"input": "Q?", "target": gold}], 0, 7).items
    (verdict,) = grade_exact([(response, item)])
    assert verdict.correct is right


def test_a_letter_beyond_the_options_is_none() -> None:
    assert letter_of("the answer is E", ("yes", "no")) is None
