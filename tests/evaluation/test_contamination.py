from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spice.evaluation import contamination
from spice.evaluation.items import Item
from spice.selfplay.types import Task

LONG = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen"


def item(text: str, item_id: str = "i") -> Item:
    return Item(item_id, item_id, Task("free_form", "q", "a"), text)


@pytest.mark.parametrize(
    ("source", "text", "found"),
    [
        (LONG, f"before {LONG} after", True),
        (LONG, " ".join(LONG.split()[:13]), True),
        (LONG, " ".join(LONG.split()[2:]), True),
        (LONG, " ".join(LONG.split()[:12]), False),
        (LONG, " ".join(LONG.split()[:12]) + " x " + " ".join(LONG.split()[12:]), False),
        (LONG, LONG.upper().replace(" ", ",\n "), True),
        ("a b c d e f g h", "z a b c d e f g h z", True),
        ("a b c d e f g h", "a b c d e f g", False),
        ("a b c d e f g h i", "a b c d e f g h", False),
        ("ﬁve ﬁsh swim in the deep blue sea", "five fish swim in the deep blue sea", True),
    ],
)
def test_what_counts_as_found(source: str, text: str, found: bool) -> None:
    checked = contamination.check({"s": [item(source)]}, [("other", "nothing here"), ("doc", text)])
    assert [hit.where for hit in checked.hits] == (["doc"] if found else [])
    assert checked.share == float(found)


def test_short_items_are_counted_as_not_testable() -> None:
    checked = contamination.check({"s": [item("a b c d e f g"), item(LONG, "j")]}, [("doc", "a b c d e f g h")])
    assert (checked.items, checked.testable, checked.hits, checked.share) == (2, 1, (), 0.0)
    assert contamination.check({"s": [item("short")]}, []).share == 0.0


def test_items_that_share_words_are_all_found_once_each_and_named() -> None:
    suites = {"s": [item(LONG, "a"), item(f"x {LONG}", "b")], "t": [item(LONG, "a")]}
    checked = contamination.check(suites, [("first", LONG), ("second", f"x {LONG} {LONG}")])
    assert sorted((hit.suite, hit.item, hit.where) for hit in checked.hits) == [
        ("s", "a", "first"), ("s", "b", "second"), ("t", "a", "first"),
    ]  # fmt: skip
    assert {hit.item: (hit.words, hit.longest) for hit in checked.hits} == {"a": (LONG, 15), "b": (f"x {LONG}", 16)}


def test_the_longest_run_is_told_wherever_it_stands() -> None:
    words = [f"w{i}" for i in range(200)]
    text = [*words[:20], "other", *words[30:150], "other", *words[100:114]]
    (hit,) = contamination.check({"s": [item(" ".join(words))]}, [("a", "x y z"), ("doc", " ".join(text))]).hits
    assert (hit.longest, hit.where) == (120, "doc")
    assert hit.words == " ".join(words[30:70])


def test_training_text_is_streamed() -> None:
    texts = iter([("doc", LONG)])
    contamination.check({"s": [item("something else that is long enough to look for here")]}, texts)
    assert next(texts, None) is None


words = st.lists(st.sampled_from("abc"), min_size=0, max_size=30)


@given(words, words)
def test_agrees_with_the_plain_definition(source: list[str], text: list[str]) -> None:
    size = min(contamination.N_GRAM, len(source))
    grams = {tuple(source[i : i + size]) for i in range(len(source) - size + 1)}
    expected = size >= contamination.MIN_WORDS and any(
        tuple(text[i : i + size]) in grams for i in range(len(text) - size + 1)
    )
    checked = contamination.check({"s": [item(" ".join(source))]}, [("doc", " ".join(text))])
    assert bool(checked.hits) == expected
    longest = max(
        (n for n in range(len(source) + 1) for i in range(len(source) - n + 1) if contains(text, source[i : i + n])),
        default=0,
    )
    assert [hit.longest for hit in checked.hits] == ([longest] if expected else [])


def contains(text: list[str], run: list[str]) -> bool:
    return any(text[i : i + len(run)] == run for i in range(len(text) - len(run) + 1))
