"""What ranks send one another arrives as it was; what is not of the expected type is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spice.errors import TrainingError
from spice.rollout.base import Completion
from spice.selfplay.types import Document, Program, Task, Verdict
from spice.training import wire
from spice.training.outputs import Answers, Attempt

words = st.text(max_size=20)
programs = st.builds(
    Program, st.sampled_from(["deduction", "abduction"]), words, st.tuples(words), st.tuples(words, words)
)
tasks = st.builds(
    Task,
    st.sampled_from(["multiple_choice", "free_form"]),
    words,
    words,
    options=st.lists(words, max_size=4).map(tuple),
    program=st.none() | programs,
)


def completion(tokens: list[int], words_of_mask: int) -> Completion:
    floats = np.array(tokens, dtype=np.float32) / 7
    mask = np.array([[t] * words_of_mask for t in tokens], dtype=np.uint32) if words_of_mask and tokens else None
    return Completion(tuple(tokens), floats, -floats, "text", "stop", mask)


completions = st.builds(completion, st.lists(st.integers(0, 5), min_size=1, max_size=9), st.integers(0, 3))
attempts = st.builds(
    Attempt,
    st.builds(Document, words, words, words),
    st.lists(st.integers(0, 9)).map(tuple),
    st.none() | completions,
    st.none() | tasks,
    words,
    st.dictionaries(words, st.booleans(), max_size=3),
)
answers = st.builds(
    Answers,
    st.lists(st.lists(st.integers(0, 9)).map(tuple), max_size=3),
    st.lists(completions, max_size=3),
    st.lists(st.builds(Verdict, st.booleans(), st.none() | words), max_size=3),
    st.lists(tasks, max_size=2),
    st.integers(0, 2**64 - 1),
)
PLAYED = list[list[tuple[Attempt, Answers | None]]]


@given(st.lists(st.lists(st.tuples(attempts, st.none() | answers), max_size=3), max_size=3))
def test_what_is_sent_arrives(played: list[Any]) -> None:
    assert same(wire.decode(wire.encode(played), PLAYED), played)


def test_a_mask_that_repeats_is_sent_once() -> None:
    mask = np.full((2000, 4000), 0xFFFFFFFF, dtype=np.uint32)
    sent = wire.encode(Completion((1,), np.zeros(1, np.float32), np.zeros(1, np.float32), "", "stop", mask))
    assert len(sent) < mask.nbytes / 500
    assert (wire.decode(sent, Completion).allowed == mask).all()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", bool),
        (b"\x00" * 20, bool),
        (wire.encode("word"), int),
        (wire.encode([1, 2]), list[str]),
        (wire.encode(Verdict(True)), Document),
        (wire.encode(completion([1], 0))[:-2], Completion),
    ],
)
def test_other_bytes_are_refused(data: bytes, expected: Any) -> None:
    with pytest.raises(TrainingError, match="same version"):
        wire.decode(data, expected)


def same(a: Any, b: Any) -> bool:
    if isinstance(b, np.ndarray):
        return bool(a.dtype == b.dtype and np.array_equal(a, b))
    if hasattr(b, "__dataclass_fields__"):
        return type(a) is type(b) and all(same(getattr(a, f), getattr(b, f)) for f in b.__dataclass_fields__)
    if isinstance(b, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and bool(a == b)
