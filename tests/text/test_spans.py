"""Answer-like spans, and spans of other documents that could pass for them."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spice.text.spans import Span, SpanIndex, find_spans, indexed

WORDS = [
    "The", "Nile", "of", "Lake", "Victoria", "5 July 1962", "July 1962", "1962", "in", "river", "iron ore", "12 km",
    "$4.5 million", "3,000", "7%", "St. John's", "U.S.", "2.5.1", "mining", "was", "high-grade", "São Tomé", ".", ",",
    "\n", "(", "'", "1999-2003", "£", "$\n5", "€\u00a07", "Ärger", "x", "Who",
]  # fmt: skip
texts = st.lists(st.sampled_from(WORDS), max_size=40).map(" ".join) | st.text(max_size=200)


@pytest.mark.parametrize(
    ("text", "spans"),
    [
        ("It was founded on 5 July 1962.", [("date", "5 July 1962")]),
        ("It was opened on July 4, 1826, in June 1900 and again.", [("date", "July 4, 1826"), ("date", "June 1900")]),
        ("It was in use from 1850 until 1902.", [("year", "1850"), ("year", "1902")]),
        (
            "It is 31 m high and 4,500 km long.",
            [("quantity", "31 m"), ("term", "high"), ("quantity", "4,500 km"), ("term", "long")],
        ),
        ("It was $2.5 million, or 7% of all.", [("quantity", "$2.5 million"), ("quantity", "7%")]),
        ("There were 1,250 and then 13 of them.", [("number", "1,250"), ("number", "13")]),
        (
            "It was Lake Victoria, near the Bank of England and Wales.",
            [("name", "Lake Victoria"), ("name", "Bank of England and Wales")],
        ),
        ("The Nile is there; use the Nile.", [("name", "Nile"), ("name", "Nile")]),
        ("Sweden's capital has it, but Sweden.", [("name", "Sweden"), ("term", "capital"), ("name", "Sweden")]),
        ("Rivers are here.", []),
        ("Founded by Tom Averill", [("name", "Tom Averill")]),
        (
            "iron ore, coffee, high-grade steel",
            [("term", "iron ore"), ("term", "coffee"), ("term", "high-grade steel")],
        ),
        ("they were quickly running and painted", []),
        ("version 2.5.1 of x", [("term", "version")]),
        ("in 1999-2003", [("year", "1999")]),
        ("a price of $\n5", [("term", "price"), ("number", "5")]),
        ("a price of $ 5", [("term", "price"), ("quantity", "$ 5")]),
        ("São Tomé, in Ärzte", [("name", "São Tomé"), ("name", "Ärzte")]),
        ("", []),
    ],
)
def test_spans_by_kind(text, spans):
    assert [(span.kind, span.text) for span in find_spans(text)] == spans


@given(texts)
@settings(deadline=None)
def test_spans_are_pieces_of_the_text_in_order_without_overlap(text):
    end = 0
    for span in find_spans(text):
        assert text[span.start : span.end] == span.text
        assert span.start >= end
        assert span.text == span.text.strip() != ""
        assert len(span.text.splitlines()) == 1
        end = span.end


DOCUMENTS = [
    ("kenya", "It lies by Lake Victoria. In 1963 it had 8 million people. Its city is Nairobi."),
    ("norway", "It lies by the Barents Sea. In 1905 it had 2 million people. Its city is Oslo, in Kenya not."),
    ("peru", "It lies by Lake Titicaca. In 1821 it had 3 million people. Its city is Lima."),
    ("china", "It lies by the Yellow Sea. In 1949 it had 540 million people. Its city is Beijing."),
    ("egypt", "It lies by Lake Nasser. In 1922 it had 13 million people. Its city is Cairo, LIMA is not."),
]
TEXTS = dict(DOCUMENTS)
INDEX = SpanIndex(DOCUMENTS)
own_spans = st.sampled_from([(name, span) for name, text in DOCUMENTS for span in find_spans(text)])


@given(own_spans, st.integers(1, 5), st.integers())
@settings(deadline=None)
def test_drawn_spans_are_alike_distinct_and_from_elsewhere(own, k, seed):
    document, span = own
    drawn = INDEX.draw(span, document, TEXTS[document], k, random.Random(seed))
    assert drawn == INDEX.draw(span, document, TEXTS[document], k, random.Random(seed))
    if drawn is None:
        return
    elsewhere = {
        s.text for name, text in DOCUMENTS if name != document for s in find_spans(text) if s.kind == span.kind
    }
    assert len(drawn) == k == len({text.casefold() for text in drawn})
    for text in drawn:
        assert text in elsewhere
        assert text.casefold() not in TEXTS[document].casefold()
        assert len(span.text) // 2 <= len(text) <= 2 * len(span.text) + 1
        assert abs(text.count(" ") - span.text.count(" ")) <= 1


def test_a_year_gets_the_years_of_the_others():
    span = Span("1963", "year", 29, 33)
    drawn = INDEX.draw(span, "kenya", TEXTS["kenya"], 4, random.Random(0))
    assert sorted(drawn) == ["1821", "1905", "1922", "1949"]


def test_other_seeds_draw_others():
    span = Span("1963", "year", 29, 33)
    assert len({tuple(INDEX.draw(span, "kenya", TEXTS["kenya"], 2, random.Random(seed))) for seed in range(20)}) > 3


def test_what_another_document_calls_by_the_same_name_is_no_wrong_option():
    span = next(s for s in find_spans(TEXTS["peru"]) if s.text == "Lima")
    for seed in range(20):
        drawn = INDEX.draw(span, "peru", TEXTS["peru"], 2, random.Random(seed))
        assert drawn and not {text.casefold() for text in drawn} & {"lima"}


@pytest.mark.parametrize(
    ("documents", "k"), [([], 1), (DOCUMENTS[:1], 1), (DOCUMENTS[:2], 2), (DOCUMENTS, 5)], ids=["none", "own", "2", "5"]
)
def test_too_few_are_none(documents, k):
    span = Span("1963", "year", 29, 33)
    assert SpanIndex(documents).draw(span, "kenya", TEXTS["kenya"], k, random.Random(0)) is None


def test_the_order_of_documents_does_not_matter():
    span = Span("1963", "year", 29, 33)
    draws = [SpanIndex(docs).draw(span, "kenya", "", 3, random.Random(7)) for docs in (DOCUMENTS, DOCUMENTS[::-1])]
    assert draws[0] == draws[1]


def test_quantities_of_the_same_unit_come_first():
    texts = {"a": "It is 31 m.", "b": "It is 12 m.", "c": "It is 70 m.", "d": "It is 25 kg.", "e": "It is 44 kg."}
    index, span = SpanIndex(texts.items()), find_spans(texts["a"])[0]
    for seed in range(10):
        drawn = index.draw(span, "a", texts["a"], 3, random.Random(seed))
        assert sorted(drawn[:2]) == ["12 m", "70 m"] and drawn[2] in {"25 kg", "44 kg"}


@pytest.mark.parametrize(
    ("text", "holders", "documents", "common"),
    [
        ("capital", 3, 50, False),
        ("capital", 4, 50, True),
        ("capital", 4, 400, False),
        ("capital", 5, 400, True),
        ("31 m", 20, 400, False),
        ("31 m", 21, 400, True),
    ],
)
def test_common_is_what_many_documents_hold(text, holders, documents, common):
    """More than three, and of terms one in a hundred, of other spans one in twenty."""
    index = SpanIndex((str(i), f"its {text}, near its {text}" if i < holders else "") for i in range(documents))
    (span,) = [span for span in find_spans(f"it is {text}") if span.text == text]
    assert index.is_common(span) == common


@pytest.mark.parametrize("count", [0, 1, 5, 32_768])
def test_of_few_documents_all_are_indexed(count):
    assert list(indexed(count)) == list(range(count))


@given(st.integers(32_769, 10**8))
def test_of_many_documents_as_many_are_indexed_at_even_distances(count):
    places = indexed(count)
    assert len(places) == 32_768
    assert (places[0], places[-1]) == (0, count - -(-count // 32_768))
    gaps = {after - before for before, after in itertools.pairwise(places)}
    assert max(gaps) - min(gaps) <= 1
