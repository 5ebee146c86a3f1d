"""Both roles at work: how often the Challenger may try, what is kept, and what the Reasoner is asked."""

from __future__ import annotations

import json
import random
import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spice.rollout.base import Grammar
from spice.selfplay.format import SELECTOR_PATTERN
from spice.selfplay.types import Document, Task
from spice.training.play import seed_stream

pytestmark = pytest.mark.torch
SEEDS = seed_stream(0, 1)
GOOD = "Answer: Ben Bella\nQuestion: Who built the iron bridge of the country?"
BAD = "I would rather not."


def valid_from(table, at):
    """An engine whose Challenger writes a task from its attempt number `at` (by document) on."""
    written = dict.fromkeys(at, 0)

    def write(prompt, request, copy):
        document = next(d for d in table.documents if d.text in prompt)
        written[document.id] += 1
        if written[document.id] < at[document.id]:
            return BAD
        name = re.search(r"\d{4} (\w+ \w+) built", document.text)[1]
        return f"Answer: {name}\nQuestion: Who built the thing of the country?"

    return table.scripted(write)


@pytest.mark.parametrize(
    ("first_valid", "tried", "kept_valid"),
    [(1, 4, 4), (4, 4, 1), (5, 8, 1), (8, 8, 1), (10, 10, 1), (11, 10, 0)],
)
def test_attempts_go_on_until_one_is_valid_or_the_limit_is_reached(table, first_valid, tried, kept_valid):
    engine = valid_from(table, {"d0": first_valid})
    players = table.players(engine, attempts=4, max_attempts=10)
    (kept,) = players.challenge(table.documents[:1], SEEDS)
    assert sum(request.n for call in engine.calls for request in call) == tried
    assert len(kept) == 4
    assert sum(attempt.task is not None for attempt in kept) == kept_valid
    assert all((attempt.reason == "") == (attempt.task is not None) for attempt in kept)


def test_only_documents_without_a_task_are_tried_again(table):
    engine = valid_from(table, {"d0": 1, "d1": 6, "d2": 3, "d3": 99})
    players = table.players(engine, attempts=4, max_attempts=12)
    by_document = players.challenge(table.documents[:4], SEEDS)
    asked = [
        [next(d.id for d in table.documents if d.text in table.tokenizer.decode(r.prompt)) for r in call]
        for call in engine.calls
    ]
    assert asked == [["d0", "d1", "d2", "d3"], ["d1", "d3"], ["d3"]]
    assert [{attempt.document.id for attempt in kept} for kept in by_document] == [{"d0"}, {"d1"}, {"d2"}, {"d3"}]
    seeds = [request.seed for call in engine.calls for request in call]
    assert len(set(seeds)) == len(seeds)


@pytest.mark.parametrize("text", ["", "It is so. They are not."])
def test_a_document_with_nothing_to_ask_for_is_not_tried(table, text):
    engine = valid_from(table, {"d0": 1})
    empty = Document("empty", "empty.md", text)
    first, second = table.players(engine).challenge([empty, table.documents[0]], SEEDS)
    assert first == [] and second != []
    assert [len(call) for call in engine.calls] == [1]
    assert table.players(engine).challenge([empty], SEEDS) == [[]]


def test_options_come_from_other_documents_and_the_task_holds_the_gold_answer(table):
    engine = table.scripted(lambda prompt, request, copy: GOOD)
    ((attempt, *_),) = table.players(engine).challenge(table.documents[:1], SEEDS)
    assert attempt.task.answer == "Ben Bella"
    assert set(attempt.task.options) - {"Ben Bella"} <= {"Carl Berg", "Ana Soto", "Li Wei", "Mona Zaki"}
    assert len(attempt.task.options) == 4
    assert attempt.checks == {"well_formed": True, "grounded": True, "standalone": False, "unleaked": True}


def test_a_required_check_makes_the_attempt_invalid(table):
    engine = table.scripted(lambda prompt, request, copy: GOOD)
    ((attempt, *_),) = table.players(engine, require_standalone=True).challenge(table.documents[:1], SEEDS)
    assert attempt.task is None
    assert attempt.reason == "the question does not stand alone"
    assert attempt.checks["standalone"] is False


def test_what_was_cut_off_is_invalid_and_says_so(table):
    engine = table.scripted(lambda prompt, request, copy: GOOD)
    ((attempt, *_),) = table.players(engine, challenger_tokens=8).challenge(table.documents[:1], SEEDS)
    assert (attempt.task, attempt.reason) == (None, "cut off at the length limit")


TASK = Task("multiple_choice", "Who built it?", "Ben Bella", "string", ("Li Wei", "Ben Bella"))
SUM = Task("free_form", "How much is 2 + 2?", "4", "integer")


@pytest.mark.parametrize("group", [1, 4, 7])
def test_each_task_is_answered_by_a_group(table, group):
    engine = table.scripted(lambda prompt, request, copy: "\\boxed{Ben Bella}" if copy % 2 else "\\boxed{4}")
    by_task = table.players(engine, group_size=group, temperature=0.9).answer([TASK, SUM], SEEDS)
    assert [len(answers.completions) for answers in by_task] == [group, group]
    assert by_task[0].correct == [copy % 2 == 1 for copy in range(group)]
    assert by_task[1].correct == [copy % 2 == 0 for copy in range(group)]
    (requests,) = engine.calls
    assert {(r.temperature, r.max_tokens, r.grammar) for r in requests} == {(0.9, 16, None)}
    assert requests[0].seed != requests[1].seed
    assert [answers.prompts for answers in by_task] == [[request.prompt] * group for request in requests]


@pytest.mark.parametrize(
    ("orders", "group", "copies"),
    [(1, 8, [8]), (2, 8, [4, 4]), (4, 8, [2, 2, 2, 2]), (4, 6, [2, 2, 1, 1]), (9, 2, [1, 1])],
)
def test_the_group_sees_the_options_in_several_orders(table, orders, group, copies):
    """Whatever place a policy prefers, the right answer stands there for an equal part of its group."""
    animals = ("ant", "bee", "cat", "dog")
    task = Task("multiple_choice", "Who built it?", "bee", "string", animals)
    shown = []

    def first_option(prompt, request, copy):
        options = tuple(re.findall(r"^- ([a-z]+)", prompt.rpartition("Options:")[2], re.MULTILINE))
        shown.append(options)
        return f"\\boxed{{{options[0]}}}"

    engine = table.scripted(first_option)
    (answers,) = table.players(engine, group_size=group, option_orders=orders).answer([task], SEEDS)
    (requests,) = engine.calls
    assert [request.n for request in requests] == copies
    assert len({request.seed for request in requests}) == len(copies) == len(set(shown))
    assert set(shown) <= {animals[turn:] + animals[:turn] for turn in range(4)}
    assert answers.correct == [options[0] == "bee" for options in shown]
    assert [len(answers.completions), len(answers.prompts), len(answers.verdicts)] == [group] * 3
    if orders == 4 and group == 8:
        assert sum(answers.correct) == 2


def test_no_tasks_no_answers(table):
    assert table.players(table.scripted(lambda *_: "")).answer([], SEEDS) == []


def test_the_audit_is_greedy_and_shows_the_document(table):
    document = table.documents[0]

    def write(prompt, request, copy):
        return "\\boxed{Ben Bella}" if document.text in prompt else "\\boxed{Li Wei}"

    engine = table.scripted(write)
    players = table.players(engine)
    agreed, misled = players.audit([(TASK, document), (replace(TASK, answer="Li Wei"), document)])
    assert (agreed.correct, misled.correct) == ([True], [False])
    assert {(request.n, request.temperature) for request in engine.calls[0]} == {(1, 0.0)}


def full_task(document, task_format):
    task = {
        "evidence": [document.text[:60]],
        "question": "Who built the bridge in 1963, and how high is it?",
        "solution": "The text names the builder.",
        "answer": "Ben Bella",
        "answer_type": "string",
        "difficulty": "easy",
    }
    if task_format == "multiple_choice":
        task |= {"options": ["Li Wei", "Ana Soto", "Ben Bella", "Carl Berg"], "letter": "C"}
    return json.dumps(task)


@pytest.mark.parametrize("task_format", ["multiple_choice", "free_form"])
def test_the_full_template_asks_for_the_papers_json(table, task_format):
    document = table.documents[0]
    engine = table.scripted(lambda prompt, request, copy: full_task(document, task_format))
    players = table.players(engine, template="full", formats=[task_format], challenger_tokens=2000)
    ((attempt, *_),) = players.challenge([document], SEEDS)
    assert attempt.task is not None, attempt.reason
    assert (attempt.task.format, attempt.task.answer) == (task_format, "Ben Bella")
    (request,) = engine.calls[0]
    assert request.grammar.kind == "json_schema"
    assert set(json.loads(request.grammar.text)["required"]) == set(json.loads(full_task(document, task_format)))


@pytest.mark.parametrize("chosen", ["multiple_choice", "free_form"])
def test_the_policy_chooses_the_format_where_the_recipe_leaves_a_choice(table, chosen):
    document = table.documents[0]

    def write(prompt, request, copy):
        return chosen if request.grammar == Grammar("regex", SELECTOR_PATTERN) else full_task(document, chosen)

    engine = table.scripted(write)
    recipe = {"template": "full", "formats": ["multiple_choice", "free_form"], "challenger_tokens": 2000}
    ((attempt, *_),) = table.players(engine, **recipe).challenge([document], SEEDS)
    assert len(engine.calls) == 2
    assert attempt.task.format == chosen


@pytest.mark.parametrize("template", ["full", "short"])
@pytest.mark.parametrize("span_answers", [True, False])
def test_a_model_that_has_learned_nothing_plays_every_recipe(table, template, span_answers):
    engine = table.engine()
    recipe = {
        "template": template,
        "span_answers": span_answers,
        "formats": ["multiple_choice", "free_form"],
        "challenger_tokens": 60,
        "temperature": 1.3,
    }
    players = table.players(engine, **recipe)
    by_document = players.challenge(table.documents[:2], SEEDS)
    assert [len(kept) for kept in by_document] == [2, 2]
    tasks = [attempt.task for kept in by_document for attempt in kept if attempt.task]
    for answers in players.answer([*tasks, TASK, SUM], SEEDS):
        assert len(answers.verdicts) == len(answers.completions) == 4


parts = st.lists(st.text(max_size=5) | st.integers(), max_size=3)


@given(st.integers(0), st.integers(0), parts, st.integers(0), st.integers(0), parts)
@settings(deadline=None)
def test_seeds_depend_on_all_their_parts_and_on_nothing_else(seed, iteration, these, seed2, iteration2, those):
    first, second = seed_stream(seed, iteration)(*these), seed_stream(seed2, iteration2)(*those)
    assert (first == second) == ((seed, iteration, these) == (seed2, iteration2, those))
    random.seed(first)
    assert first == seed_stream(seed, iteration)(*these)
    assert 0 <= first < 2**64


def test_equal_tasks_share_one_group_of_answers_if_the_recipe_says_so(table):
    asked = [Task("free_form", question, "4", "integer") for question in ("Two and two?", "Three?", "Two and two?")]
    for share, requests in ((True, 2), (False, 3)):
        engine = table.scripted(lambda prompt, request, copy: "\\boxed{4}")
        answers = table.players(engine, share_answers=share, group_size=2).answer(asked, SEEDS)
        assert [len(call) for call in engine.calls] == [requests]
        assert [one.correct for one in answers] == [[True, True]] * 3
        assert (answers[0] is answers[2]) == share


def _outcome(by_document):
    return [
        [
            (
                one.completion.tokens,
                one.task,
                one.reason,
                answers and [c.tokens for c in answers.completions],
                answers and answers.verdicts,
            )
            for one, answers in attempts
        ]
        for attempts in by_document
    ]


@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize("own_seat", [True, False])
def test_overlap_changes_nothing_but_the_order_of_the_work(table, share, own_seat):
    """Same attempts, same tasks, same answers, whether answers wait for the last attempt or not."""
    recipe = {"attempts": 3, "max_attempts": 9, "challenger_tokens": 64, "temperature": 1.2, "share_answers": share}
    played = {}
    for overlap in (False, True):
        engine = table.engine()
        players = table.players(engine, overlap=overlap, **recipe)
        poser = table.players(table.engine(), **recipe) if own_seat else None
        played[overlap] = _outcome(players.play(table.documents, SEEDS, poser=poser))
    assert played[True] == played[False]
    answered = [answers for attempts in played[True] for *_, answers, _ in attempts]
    assert any(answers is None for answers in answered) and any(answers is not None for answers in answered)
    counts = {len(attempts) for attempts in played[True]}
    assert counts == {3}


def test_answers_begin_while_attempts_are_under_way(table):
    """With overlap the first answer is asked for before the last attempt has ended, and without it after."""
    for overlap in (False, True):
        engine, events = table.engine(), []
        stream = engine.stream

        def watched(stream=stream, events=events):
            one = stream()
            step = one.step

            def noted():
                finished = step()
                events.extend(("end", f.key[0]) for f in finished)
                return finished

            one.step = noted
            add = one.add

            def adding(key, request):
                events.append(("begin", key[0]))
                add(key, request)

            one.add = adding
            return one

        engine.stream = watched
        players = table.players(engine, overlap=overlap, challenger_tokens=64, max_attempts=6, attempts=3)
        players.play(table.documents, SEEDS)
        first = events.index(("begin", "answer"))
        last = len(events) - 1 - events[::-1].index(("end", "attempt"))
        assert (first < last) == overlap
