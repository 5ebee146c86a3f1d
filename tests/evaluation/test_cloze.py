from __future__ import annotations

import itertools
import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spice.evaluation import cloze
from spice.evaluation.items import Suite
from spice.selfplay.answers import contains, normalise
from spice.selfplay.blanks import BLANK


def build(segments: list[Any], count: int = 100, seed: int = 1) -> Suite:
    candidates = itertools.islice(cloze.find_candidates(segments, random.Random(seed)), count)
    return cloze.build_suite(candidates, random.Random(seed))


def test_every_item_is_sound(atlas: list[Any]) -> None:
    suite = build(atlas)
    texts: dict[str, str] = {}
    for segment in atlas:
        texts[segment.document_id] = f"{texts.get(segment.document_id, '')}\n{segment.text}"
    assert suite.items
    for item in suite.items:
        task, document = item.task, texts[item.cluster]
        assert task.question.count(BLANK) == 1
        assert task.answer in task.options
        assert len({normalise(option) for option in task.options}) == cloze.OPTIONS
        assert item.source_text in document
        blanked = item.source_text.replace(task.answer, BLANK, 1)
        assert task.question.endswith(blanked)
        for option in task.options:
            assert not contains(task.question, option)
        for option in set(task.options) - {task.answer}:
            assert not contains(document, option)
            assert any(contains(text, option) for name, text in texts.items() if name != item.cluster)


def test_items_spread_over_documents(atlas: list[Any]) -> None:
    assert {item.cluster for item in build(atlas, count=12).items} == {segment.document_id for segment in atlas}
    per_document = Counter(item.cluster for item in build(atlas, count=24).items)
    assert max(per_document.values()) == 2


def test_gold_positions_are_balanced(atlas: list[Any]) -> None:
    positions = Counter(item.task.letter for item in build(atlas, count=22).items)
    assert set(positions) == set("ABCD")
    assert max(positions.values()) - min(positions.values()) <= 1


def test_a_seed_fixes_the_items_in_any_order_of_segments_and_another_gives_others(atlas: list[Any]) -> None:
    assert build(atlas).items == build(list(atlas)).items
    assert build(atlas).items != build(atlas, seed=2).items


@pytest.mark.parametrize(
    ("sentence", "title", "shown"),
    [
        ("It was founded by Kubla in those days.", "Algeria", "Algeria: It was founded by ____ in those days."),
        ("It was founded by Kubla in those days.", "", None),
        ("The country was freed by Kubla long ago.", "Algeria", "Algeria: The country was freed by ____ long ago."),
        ("Xanadu was founded by Kubla in those days.", "Algeria", "Algeria: Xanadu was founded by ____ in those days."),
        ("Algeria was founded by Kubla in those days.", "Algeria", "Algeria was founded by ____ in those days."),
        ("Games of Xanadu were held by Kubla.", "Kubla of Xanadu", "Games of Xanadu were held by ____."),
        ("Their neighbour Xanadu was founded by Kubla.", "", None),
        ("In Xanadu the country was freed by Kubla.", "", "In Xanadu the country was freed by ____."),
        ("Founded by Kubla then.", "Algeria", None),
        (f"In Xanadu it has {'very ' * 50}many towns of Kubla.", "", None),
    ],
)
def test_the_sentence_must_name_its_subject(
    atlas: list[Any], make_segment: Any, sentence: str, title: str, shown: str | None
) -> None:
    others = [segment for segment in atlas if segment.document_id != "Algeria"]
    drawn = [build([*others, make_segment("own", sentence, title, "own-0")], seed=seed) for seed in range(20)]
    items = [item for suite in drawn for item in suite.items if item.cluster == "own" and item.task.answer == "Kubla"]
    assert {item.task.question for item in items} == ({cloze.STEM.format(sentence=shown)} if shown else set())


def test_figures_and_dates_are_not_blanked(atlas: list[Any]) -> None:
    items = build(atlas).items
    assert any(any(map(str.isdigit, item.source_text)) for item in items)
    assert not any(any(map(str.isdigit, item.task.answer)) for item in items)


def test_a_title_that_gives_the_answer_away_makes_no_item(atlas: list[Any], make_segment: Any) -> None:
    own = make_segment("own", "It was founded by Ruritania in that very year.", "History of Ruritania", "own-0")
    assert all(item.cluster != "own" for item in build([*atlas, own]).items)


@pytest.mark.parametrize("texts", [[], ["The capital of Algeria is Algiers."], ["no sentence here", "- nor\n- here"]])
def test_too_few_documents_give_few_items_not_an_error(make_segment: Any, texts: list[str]) -> None:
    assert build([make_segment(str(i), text, "", str(i)) for i, text in enumerate(texts)]).items == ()


def test_no_document_dominates(atlas: list[Any], make_segment: Any) -> None:
    long = " ".join(f"The city of Xanadu{i} was founded by the king Kublai in {1200 + i}." for i in range(100))
    counts = Counter(item.cluster for item in build([*atlas, make_segment("long", long, "", "long-0")]).items)
    assert counts["long"] == 12


def test_a_sentence_that_documents_share_is_used_once(atlas: list[Any], make_segment: Any) -> None:
    shared = "All these pages were printed in 1950 by Ruritania House."
    copies = [make_segment(f"copy{i}", shared, "", f"copy{i}-0") for i in range(5)]
    assert [item.source_text for item in build([*atlas, *copies]).items].count(shared) == 1


@given(st.lists(st.text(max_size=200), max_size=6), st.integers(0, 1000))
def test_any_text_is_survived(texts: list[str], seed: int) -> None:
    from dataclasses import make_dataclass

    kind = make_dataclass("Segment", ["document_id", "segment_id", "title", "text"])
    build([kind(str(i), str(i), "", text) for i, text in enumerate(texts)], seed=seed)
