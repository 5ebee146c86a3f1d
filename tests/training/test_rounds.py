"""Which attempts count: the paper's rule, whatever ends first."""

from __future__ import annotations

import random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from spice.rollout.base import Completion, Finished, Request
from spice.training.rounds import Rounds, is_attempt


class Shuffled:
    """A stream whose continuations end one by one, in an order that a generator draws."""

    def __init__(self, rng):
        self.rng, self.under_way, self.asked = rng, {}, {}

    def add(self, key, request):
        assert key not in self.asked
        self.asked[key] = request.n
        self.under_way |= {(key, copy): None for copy in range(request.n)}

    def drop(self, key, first=0):
        self.under_way = {at: None for at in self.under_way if at[0] != key or at[1] < first}

    def step(self):
        at = self.rng.choice(list(self.under_way))
        del self.under_way[at]
        nothing = np.zeros(1, np.float32)
        return [Finished(*at, Completion((1,), nothing, nothing, "", "stop"))]

    def __len__(self):
        return len(self.under_way)


def counting(valid: list[bool], group: int, most: int) -> int:
    """How many attempts count, by the paper's words: until G are there and one is valid, at most N."""
    made = 0
    while made < most and (made < group or not any(valid[:made])):
        made += 1
    return made


documents = st.lists(st.lists(st.booleans(), min_size=30, max_size=30), min_size=1, max_size=3)


@given(documents, st.integers(1, 6), st.integers(1, 30), st.integers(0))
def test_what_counts_depends_on_what_was_written_only(valid, group, most, seed):
    stream = Shuffled(random.Random(seed))
    rounds = Rounds(
        range(len(valid)),
        ask=lambda document, before, wanted: Request((1,), n=wanted),
        read=lambda document, number, _: (number, valid[document][number]),
        is_valid=lambda attempt: attempt[1],
        group=group,
        most=most,
    )
    told = []
    rounds.begin(stream)
    while len(stream):
        for one in stream.step():
            assert is_attempt(one)
            told += rounds.take(stream, one)
    assert rounds.over
    for document, outcomes in enumerate(valid):
        wanted = counting(outcomes, group, most)
        assert rounds.counting(document) == list(enumerate(outcomes[:wanted]))
        known = sorted((one.place, one.attempt[0]) for one in told if one.document == document)
        right = [number for number in range(wanted) if outcomes[number]]
        # Beyond G there is one valid attempt, the last; it keeps the last of the G places.
        assert known == [(min(number, group - 1), number) for number in right]


def test_a_valid_attempt_is_told_before_its_group_is_there():
    stream = Shuffled(random.Random(0))
    rounds = Rounds([0], lambda *_: Request((1,), n=4), lambda _d, n, _c: n, lambda n: n == 2, 4, 8)
    rounds.begin(stream)
    nothing = np.zeros(1, np.float32)
    key = next(iter(stream.asked))
    (told,) = rounds.take(stream, Finished(key, 2, Completion((1,), nothing, nothing, "", "stop")))
    assert (told.document, told.place, told.attempt) == (0, 2, 2)
    assert not rounds.over


def test_attempts_after_the_last_that_counts_are_given_up():
    stream = Shuffled(random.Random(0))
    asks = []

    def ask(document, before, wanted):
        asks.append((before, wanted))
        return Request((1,), n=wanted)

    rounds = Rounds([0], ask, lambda _d, n, _c: n, lambda n: n == 5, 4, 20)
    rounds.begin(stream)
    nothing = np.zeros(1, np.float32)

    def end(copy):
        key = list(stream.asked)[-1]
        stream.under_way.pop((key, copy))
        return rounds.take(stream, Finished(key, copy, Completion((1,), nothing, nothing, "", "stop")))

    for copy in range(4):
        assert end(copy) == []
    assert asks == [(0, 4), (4, 4)]
    assert end(1) == []  # number 5 is valid, but number 4 has not ended
    assert sorted(copy for _, copy in stream.under_way) == [0]
    (told,) = end(0)
    assert (told.attempt, told.place, rounds.over) == (5, 3, True)
