from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spice.corpus.clean import clean, fingerprint_text, removed_characters


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("a \t b", "a b"),
        ("a\r\nb\rc\u2028d", "a\nb\nc\nd"),
        ("one\n\n \n\t\n\ntwo", "one\n\ntwo"),
        ("list:\n  - item  x\n    code", "list:\n  - item x\n    code"),
        ("zero\u200bwidth\ufeff \x00nul\x07", "zerowidth nul"),
        ("e\u0301", "é"),
        ("soft\u00adhyphen", "softhyphen"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("👩\u200d🚀", "👩\u200d🚀"),
        ("pla\u200din", "plain"),
        ("bad \udcff byte", "bad byte"),
        ("hidden\U000e0041\U000e0042", "hidden"),
        (" \n\t ", ""),
    ],
)
def test_clean(raw: str, expected: str) -> None:
    assert clean(raw) == expected


def test_removed_characters_are_counted() -> None:
    assert removed_characters("plain text\n") == 0
    assert removed_characters("a\u200bb\x00c\udc80") == 3


@given(st.text(alphabet=st.characters(codec=None, exclude_categories=()), max_size=80))
def test_clean_text_is_stable_encodable_and_normal(raw: str) -> None:
    once = clean(raw)
    assert clean(once) == once
    once.encode("utf-8")
    assert unicodedata.is_normalized("NFC", once)
    assert not re.search(r"\n{3,}|[ \t]\n|\S {2,}\S", once)


def test_a_million_blanks_cost_one_pass() -> None:
    assert clean("a\n" + " " * 1_000_000 + "b") == "a\n" + " " * 1_000_000 + "b"
    assert clean("a" + " \n" * 300_000 + "b") == "a\n\nb"


def test_fingerprint_ignores_case_punctuation_and_layout() -> None:
    assert fingerprint_text("The  Cat,\nsat!") == fingerprint_text("the cat SAT") == "the cat sat"
