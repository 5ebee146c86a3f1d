"""Absolute Zero's tasks: what is asked, what counts as an answer, and how a proposal is read."""

from __future__ import annotations

import json
import random
import re
import sys

import pytest

from spice.selfplay.executor import Executor
from spice.selfplay.programs import KINDS, ProgramArchive, observe, program_task
from spice.selfplay.proposals import parse_proposal, proposal_grammar, proposal_messages
from spice.selfplay.types import Program
from spice.selfplay.verify import Verifier

pytestmark = pytest.mark.integration
DOUBLE = "def f(x):\n    return abs(x) * 2"


@pytest.fixture(scope="module")
def verifier():
    if sys.platform != "linux":
        pytest.skip("NO ISOLATION: the executor needs Linux with seccomp")
    with Verifier(executor=Executor(1.0)) as verifier:
        yield verifier


def test_the_output_of_a_program_is_seen_by_running_it(verifier):
    with Executor(1.0) as executor:
        assert observe("deduction", DOUBLE, ["3"], executor) == Program("deduction", DOUBLE, ("3",), ("6",))
        found = observe("induction", DOUBLE, ["1", "2", "-3", "4"], executor, "it grows")
        assert found == Program("induction", DOUBLE, ("1", "2", "-3", "4"), ("2", "4", "6", "8"), 2, "it grows")
        assert "TypeError" in observe("deduction", DOUBLE, ["'a'"], executor)


PROGRAMS = {
    "deduction": Program("deduction", DOUBLE, ("3",), ("6",)),
    "abduction": Program("abduction", DOUBLE, ("3",), ("6",)),
    "induction": Program("induction", DOUBLE, ("1", "2", "3", "-4"), ("2", "4", "6", "8"), 2, "it grows"),
}


@pytest.mark.parametrize(
    ("kind", "answer", "correct"),
    [
        ("deduction", "6", True),
        ("deduction", "2 * 3", False),  # a literal, not a computation
        ("deduction", "3", False),
        ("abduction", "3", True),
        ("abduction", "-3", True),  # any input that gives the output
        ("abduction", "6", False),
        ("abduction", "open('x')", False),
        ("induction", DOUBLE, True),
        ("induction", "def f(x): return max(x + x, -x - x)", True),
        ("induction", "def f(x): return x * 2", False),  # right on what was shown only
        ("induction", "def f(x): return {1: 2, 2: 4}[x]", False),
        ("induction", "no code", False),
    ],
)
def test_an_answer_counts_by_what_it_does(verifier, kind, answer, correct):
    task = program_task(PROGRAMS[kind])

    assert verifier.check([(f"\\boxed{{{answer}}}", task)])[0].correct is correct


@pytest.mark.parametrize("kind", KINDS)
def test_the_question_keeps_what_is_asked_for_to_itself(kind):
    task = program_task(PROGRAMS[kind])
    hidden = {"deduction": ["6"], "abduction": ["f(3)"], "induction": [DOUBLE, "f(3)", "f(-4)"]}[kind]

    assert not any(secret in task.question for secret in hidden)
    assert task.answer == {"deduction": "6", "abduction": "3", "induction": DOUBLE}[kind]


GIVEN = PROGRAMS["deduction"]


@pytest.mark.parametrize(
    ("template", "kind", "text", "code", "inputs"),
    [
        ("short", "deduction", "def f(x): return x + 1\nInput: 3", "def f(x): return x + 1", ("3",)),
        ("short", "induction", "Inputs: 1; 2\nHint: it grows", DOUBLE, ("1", "2")),
        ("full", "abduction", json.dumps({"program": DOUBLE, "input": "3"}), DOUBLE, ("3",)),
        ("full", "induction", json.dumps({"inputs": ["1", "2"], "hint": "it grows"}), DOUBLE, ("1", "2")),
    ],
)
def test_proposals_are_read(template, kind, text, code, inputs):
    assert parse_proposal(text, kind, template, GIVEN)[:2] == (code, inputs)


@pytest.mark.parametrize("template", ["short", "full"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", ["", "{", '{"program": 1}', "def f(x): return x", "Inputs:", "\0"])
def test_what_is_no_proposal_has_a_reason(template, kind, text):
    assert isinstance(parse_proposal(text, kind, template, GIVEN), str)


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_short_grammar_allows_can_be_read(kind):
    form, pattern = proposal_grammar(kind, "short", 4)
    text = "Inputs: 1; 2; 33; 4\nHint: grows" if kind == "induction" else "def f(x): return x + 1 // 2\nInput: -12"

    assert form == "regex" and re.fullmatch(pattern, text)
    assert not isinstance(parse_proposal(text, kind, "short", GIVEN), str)


def test_the_challenger_sees_earlier_programs_and_for_induction_the_program_itself():
    for kind in KINDS:
        (message,) = proposal_messages(kind, [GIVEN], "full", 4)
        assert DOUBLE in message["content"]


def test_the_archive_forgets_the_oldest_and_draws_by_the_seed():
    archive = ProgramArchive(capacity=3)
    programs = [Program("deduction", f"def f(x): return x + {i}", ("1",), (str(1 + i),)) for i in range(5)]
    archive.add(programs)

    drawn = archive.draw(10, random.Random(0))
    assert len(archive) == 3 and set(drawn) == set(programs[2:])
    assert archive.draw(2, random.Random(1)) == archive.draw(2, random.Random(1))
