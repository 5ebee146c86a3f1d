from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spice.arena import world
from spice.arena.corpus import exam, oracle
from spice.arena.world import LADDER, LENGTH, WORLDS, World
from spice.errors import ConfigError
from spice.selfplay.ladder import DIGITS, KINDS, OPERATIONS, STEPS, is_reserved
from spice.selfplay.types import Task


@pytest.mark.parametrize(
    ("digit", "operation", "result"),
    [(7, "x+3", 0), (4, "3x+2", 4), (8, "7x+7", 3), (1, "9x+5", 4), (7, "x^3+0", 3), (2, "3x^3+7", 1)],
)
def test_operations_are_arithmetic_modulo_ten(digit: int, operation: str, result: int) -> None:
    assert world.apply(digit, operation) == result


def test_every_operation_maps_the_digits_onto_themselves() -> None:
    for operation in OPERATIONS:
        assert sorted(world.apply(digit, operation) for digit in range(10)) == list(range(10))


@given(st.sampled_from(DIGITS), st.lists(st.sampled_from(OPERATIONS), min_size=1, max_size=STEPS))
def test_the_oracle_agrees_with_the_worked_computation(start: str, operations: list[str]) -> None:
    worked = world.work_out(start, operations)
    assert oracle(Task("free_form", worked.question, "")) == worked.results[-1]


@pytest.mark.parametrize("place", WORLDS.values(), ids=WORLDS)
@pytest.mark.parametrize("reserved", [False, True])
def test_documents_are_true_distinct_and_on_one_side(place: World, reserved: bool) -> None:
    made = world.documents(place, 50, random.Random(1), reserved=reserved)
    assert len({one.text for one in made}) == 50
    for one in made:
        assert one == world.work_out(one.start, one.operations)
        assert is_reserved(one.question) is reserved


def test_easy_questions_of_the_ladder_never_touch_the_facts_of_hard_ones() -> None:
    made = world.documents(LADDER, 100, random.Random(1), reserved=False)
    early = {operation for one in made for operation in one.operations[:4]}
    late = {operation for one in made for operation in one.operations[4:]}
    assert not early & late


def test_in_the_world_of_length_short_questions_touch_every_kind() -> None:
    made = world.documents(LENGTH, 200, random.Random(1), reserved=False)
    assert {one.operations[0].rpartition("+")[0] for one in made} == set(KINDS)


@pytest.mark.parametrize("seed", range(3))
def test_a_warm_start_holds_one_mistake_per_fact(seed: int) -> None:
    held = world.beliefs(LADDER, seed)
    assert held.known.shape == held.mistaken.shape == (48, 10)
    assert (held.mistaken != world.TRUTH).all()
    assert 0.2 < (held.known < 0.5).mean() < 0.45
    other = world.beliefs(LADDER, seed + 1)
    assert not np.array_equal(held.known, other.known)


def test_the_test_is_the_same_for_all_and_kept_from_training() -> None:
    items = exam(LADDER).items
    assert items == exam(LADDER).items
    assert len({item.task.question for item in items}) == len(items) == 720
    assert all(is_reserved(item.task.question) for item in items)
    assert {len(item.task.question.split()) - 1 for item in items} == set(range(3, STEPS + 1))
    assert not {i.task.question for i in items} & {i.task.question for i in exam(LADDER, "tuning").items}


def test_the_test_is_graded_by_the_oracle() -> None:
    suite = exam(LADDER)
    item = suite.items[0]
    answers = [f"1 2 \\boxed{{{item.task.answer}}}", f"\\boxed{{{(int(item.task.answer) + 1) % 10}}}", "no box"]
    assert suite.grade is not None
    assert [verdict.correct for verdict in suite.grade([(text, item) for text in answers])] == [True, False, False]


def test_an_unknown_world_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="worlds are ladder, length"):
        world.find("snakes")
