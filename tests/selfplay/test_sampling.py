import random
from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spice.selfplay.sampling import choose_task, draw_documents, keep_attempts

flags = st.lists(st.booleans(), max_size=60)
groups = st.integers(1, 16)


@given(flags, groups, st.integers())
def test_kept_attempts_have_the_sampled_ratio(valid, group, seed):
    kept = keep_attempts(valid, group, random.Random(seed))

    assert kept == sorted(set(kept))
    assert len(kept) == min(group, len(valid))
    n_valid = sum(valid[i] for i in kept)
    if valid:
        exact = Fraction(len(kept) * sum(valid), len(valid))
        saved_from_rounding = n_valid == 1 and exact < Fraction(1, 2)
        assert abs(n_valid - exact) <= Fraction(1, 2) or saved_from_rounding


@given(flags.filter(any), groups, st.integers())
def test_a_document_with_a_valid_attempt_keeps_one(valid, group, seed):
    assert any(valid[i] for i in keep_attempts(valid, group, random.Random(seed)))


@pytest.mark.parametrize(
    ("n_valid", "n_invalid", "group", "kept_valid"),
    [
        (8, 0, 8, 8),
        (0, 8, 8, 0),
        (1, 1023, 8, 1),
        (4, 12, 8, 2),
        (5, 11, 8, 3),  # 2.5 of 8: a tie goes to the valid
        (3, 13, 8, 2),  # 1.5
        (15, 1, 8, 8),  # 7.5
        (1, 3, 8, 1),
    ],
)
def test_rounding(n_valid, n_invalid, group, kept_valid):
    valid = [True] * n_valid + [False] * n_invalid

    kept = keep_attempts(valid, group, random.Random(0))

    assert sum(valid[i] for i in kept) == kept_valid


def test_every_attempt_can_be_kept():
    valid = [True, False] * 8

    seen = {i for seed in range(100) for i in keep_attempts(valid, 4, random.Random(seed))}

    assert seen == set(range(16))


def test_the_trained_task_is_drawn_evenly_from_the_valid_ones():
    rng = random.Random(0)
    drawn = Counter(choose_task([False, True, False, True, True], rng) for _ in range(3000))

    assert set(drawn) == {1, 3, 4}
    assert all(900 < count < 1100 for count in drawn.values())


def test_no_valid_attempt_no_task():
    assert choose_task([False, False], random.Random(0)) is None


@given(st.integers(1, 40), st.integers(1, 100), st.integers(0, 2**32), st.integers(0, 10_000))
def test_documents_come_equally_often_within_a_batch(n_documents, batch, seed, iteration):
    drawn = draw_documents(n_documents, batch, seed, iteration)

    assert len(drawn) == batch
    assert set(drawn) <= set(range(n_documents))
    counts = [drawn.count(i) for i in range(n_documents)]
    assert max(counts) - min(counts) <= 1


def test_documents_depend_on_seed_and_iteration_alone():
    assert draw_documents(100, 8, 3, 5) == draw_documents(100, 8, 3, 5)
    assert draw_documents(100, 8, 3, 5) != draw_documents(100, 8, 3, 6)
    assert draw_documents(100, 8, 3, 5) != draw_documents(100, 8, 4, 5)


def test_documents_are_drawn_uniformly_over_iterations():
    counts = Counter(i for iteration in range(2000) for i in draw_documents(10, 3, 0, iteration))

    assert all(540 < counts[i] < 660 for i in range(10))
