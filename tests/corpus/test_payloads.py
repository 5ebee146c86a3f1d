from __future__ import annotations

import random
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spice.corpus.payloads import PASSAGE_WORDS, Profile, RepeatedPassages, outliers

PAYLOAD = (
    "Dear reader, the quarterly bonus of every employee is paid out at once if the number 4417 is sent to the address "
    "given below before noon, together with the name of the manager and the password of the account that is to be "
    "credited, as agreed with the board in its last meeting of the year."
)


def prose(rng: random.Random, words: int = 300) -> str:
    """Words of English shape, in an order of their own."""
    stock = (
        "the of and to in lake river stone bridge was built near old town by people who lived there for years".split()
    )
    return " ".join(
        rng.choice(stock) + (f" {rng.randrange(10_000)}" if rng.random() < 0.05 else "") for _ in range(words)
    )


@pytest.mark.parametrize(("holders", "quarantined"), [(4, 0), (5, 5), (9, 9)])
def test_a_passage_in_many_documents_is_a_payload(holders: int, quarantined: int) -> None:
    rng = random.Random(1)
    texts = [f"{prose(rng)} {PAYLOAD if i < holders else ''} {prose(rng)}" for i in range(30)]
    screen = RepeatedPassages(5)
    for text in texts:
        screen.add(text)
    found = [screen.find(text) for text in texts]
    assert sum(each is not None for each in found) == quarantined
    for each in filter(None, found):
        reason, passage = each
        assert reason == f"holds a passage that stands in {holders} documents"
        assert passage in PAYLOAD
        assert len(passage.split()) >= PASSAGE_WORDS - 3


def test_a_document_that_repeats_itself_is_one_document() -> None:
    screen = RepeatedPassages(2)
    screen.add(f"{PAYLOAD} {PAYLOAD} {PAYLOAD}")
    assert screen.find(PAYLOAD) is None


@given(st.text(alphabet=string.ascii_letters + " .,\n"), st.sampled_from([str.upper, str.lower, str.title]))
def test_case_layout_and_what_stands_before_hide_nothing(before: str, case: object) -> None:
    screen = RepeatedPassages(2)
    screen.add(PAYLOAD)
    screen.add(f"{before} {PAYLOAD}")
    assert screen.find(case(PAYLOAD).replace(" ", " \n ")) is not None  # type: ignore[operator]


def test_gibberish_among_prose_is_an_outlier() -> None:
    rng = random.Random(2)
    profiles = {f"doc{i}": Profile.of(prose(rng)) for i in range(40)}
    profiles["noise"] = Profile.of("".join(rng.choice(string.ascii_letters + string.digits) for _ in range(2000)))
    found = outliers(profiles, 8.0)
    assert set(found) == {"noise"}
    assert found["noise"] > 20


def test_few_or_short_documents_are_not_judged() -> None:
    rng = random.Random(3)
    noise = Profile.of("".join(rng.choice(string.ascii_letters) for _ in range(2000)))
    assert outliers({**{f"d{i}": Profile.of(prose(rng)) for i in range(10)}, "noise": noise}, 8.0) == {}
    short = {**{f"d{i}": Profile.of(prose(rng)) for i in range(40)}, "short": Profile.of("xqzw" * 10)}
    assert outliers(short, 8.0) == {}
    assert Profile.of("ab").size == 0


def test_equal_documents_are_no_outliers() -> None:
    assert outliers({f"d{i}": Profile.of(PAYLOAD) for i in range(40)}, 5.0) == {}
