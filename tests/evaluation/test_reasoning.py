from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from spice.errors import ConfigError
from spice.evaluation import reasoning

pytestmark = pytest.mark.skipif(importlib.util.find_spec("reasoning_gym") is None, reason="needs reasoning-gym")


def test_items_are_shared_out_and_repeatable() -> None:
    suite = reasoning.build_suite(["basic_arithmetic", "number_sorting"], 7, seed=3)
    assert [item.id.rsplit("-", 1)[0] for item in suite.items] == ["basic_arithmetic"] * 4 + ["number_sorting"] * 3
    assert suite.items == reasoning.build_suite(["basic_arithmetic", "number_sorting"], 7, seed=3).items
    assert suite.items != reasoning.build_suite(["basic_arithmetic", "number_sorting"], 7, seed=4).items
    assert len({item.cluster for item in suite.items}) == 7


def test_the_datasets_own_oracle_grades() -> None:
    suite = reasoning.build_suite(["number_sorting"], 1, seed=1)
    item, grade = suite.items[0], suite.grade
    assert grade is not None
    gold = item.task.answer
    spaced = gold.replace("'", '"').replace(",", " ,")
    responses = [
        f"so \\boxed{{{gold}}}",
        f"\\boxed{{{spaced}}}",
        gold,
        "\\boxed{[]}",
        "\\boxed{" + "[" * 5000 + "}",
        "",
    ]
    assert [verdict.correct for verdict in grade([(response, item) for response in responses])] == [
        True, True, False, False, False, False,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("basic_aritmetic", "not a reasoning-gym dataset; the nearest that can be used is 'basic_arithmetic'"),
        ("countdown", "may execute the answer"),
        ("puzzle24", "may execute the answer"),
        ("", "not a reasoning-gym dataset"),
    ],
)
def test_other_datasets_are_refused(name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        reasoning.build_suite([name], 1, seed=0)


def test_no_admitted_oracle_runs_an_answer(tmp_path: Path) -> None:
    trap = tmp_path / "executed"
    code = f"__import__('pathlib').Path({str(trap)!r}).touch()"
    for name in reasoning.admitted():
        suite = reasoning.build_suite([name], 1, seed=0)
        assert suite.grade is not None
        for answer in (code, f"[{code}]", f"({code}, 1)"):
            assert not suite.grade([(f"\\boxed{{{answer}}}", suite.items[0])])[0].correct
    assert not trap.exists()


@pytest.mark.parametrize("name", reasoning.admitted())
def test_every_admitted_oracle_accepts_its_own_answer(name: str) -> None:
    suite = reasoning.build_suite([name], 1, seed=0)
    assert suite.grade is not None
    response = f"\\boxed{{{suite.items[0].task.answer}}}"
    assert suite.grade([(response, suite.items[0])])[0].correct
