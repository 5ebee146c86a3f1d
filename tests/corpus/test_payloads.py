from __future__ import annotations

import random
import string
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spice.corpus.frequent import frequent
from spice.corpus.payloads import PASSAGE_WORDS, Profile, outliers, passage_hashes, repeated_passage

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


def screened(texts: list[str], least: int, folder: Path) -> list[tuple[str, str] | None]:
    """What the screen says of each text when all have been taken in."""
    hashes, counts = frequent(map(passage_hashes, texts), least, folder)
    holders = dict(zip(hashes.tolist(), counts.tolist(), strict=True))
    return [repeated_passage(text, holders) for text in texts]


@pytest.mark.parametrize(("holders", "quarantined"), [(4, 0), (5, 5), (9, 9)])
def test_a_passage_in_many_documents_is_a_payload(tmp_path: Path, holders: int, quarantined: int) -> None:
    rng = random.Random(1)
    texts = [f"{prose(rng)} {PAYLOAD if i < holders else ''} {prose(rng)}" for i in range(30)]
    found = screened(texts, 5, tmp_path)
    assert sum(each is not None for each in found) == quarantined
    for each in filter(None, found):
        reason, passage = each
        assert reason == f"holds a passage that stands in {holders} documents"
        assert passage in PAYLOAD
        assert len(passage.split()) >= PASSAGE_WORDS - 3


def test_a_document_that_repeats_itself_is_one_document(tmp_path: Path) -> None:
    assert screened([f"{PAYLOAD} {PAYLOAD} {PAYLOAD}"], 2, tmp_path) == [None]


@given(st.text(alphabet=string.ascii_letters + " .,\n"), st.sampled_from([str.upper, str.lower, str.title]))
def test_case_layout_and_what_stands_before_hide_nothing(before: str, case: Callable[[str], str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        changed = case(PAYLOAD).replace(" ", " \n ")
        assert all(screened([PAYLOAD, f"{before} {changed}"], 2, Path(folder)))


def test_gibberish_among_prose_is_an_outlier() -> None:
    rng = random.Random(2)
    texts = [prose(rng) for _ in range(40)]
    texts.insert(7, "".join(rng.choice(string.ascii_letters + string.digits) for _ in range(2000)))
    found = outliers(lambda: map(Profile.of, texts), 8.0)
    assert set(found) == {7}
    assert found[7] > 20


def test_few_or_short_documents_are_not_judged() -> None:
    rng = random.Random(3)
    noise = "".join(rng.choice(string.ascii_letters) for _ in range(2000))
    few = [*(prose(rng) for _ in range(10)), noise]
    assert outliers(lambda: map(Profile.of, few), 8.0) == {}
    short = [*(prose(rng) for _ in range(40)), "xqzw" * 10]
    assert outliers(lambda: map(Profile.of, short), 8.0) == {}
    assert Profile.of("ab").size == 0


def test_equal_documents_are_no_outliers() -> None:
    assert outliers(lambda: map(Profile.of, [PAYLOAD] * 40), 5.0) == {}
