from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spice.config import RecipeConfig
from spice.errors import ConfigError
from spice.selfplay.sampling import draw_documents
from spice.selfplay.selection import Chosen, grouped, matching, select, use_counts, within_budget
from spice.selfplay.types import Document


def documents(*sources: str) -> list[Document]:
    return [Document(f"{i:016x}-00000", source, f"text {i}") for i, source in enumerate(sources)]


def test_uniform_is_what_it_always_was() -> None:
    found = documents(*"abcdefg")
    recipe = RecipeConfig(batch_documents=3)
    for iteration in (1, 2, 50):
        assert select(found, recipe, 7, iteration) == draw_documents(7, 3, 7, iteration)


@given(st.integers(1, 20), st.integers(1, 9), st.integers(1, 30), st.integers(0, 3))
def test_no_document_comes_again_before_all_have_come(size: int, batch: int, iterations: int, seed: int) -> None:
    found = documents(*(f"{i}" for i in range(size)))
    counts = use_counts(found, RecipeConfig(batch_documents=batch, sampling="exhaustive"), seed, iterations)
    assert counts.total() == batch * iterations
    uses = [counts[i] for i in range(size)]
    assert max(uses) - min(uses) <= 1


def test_a_mixture_keeps_its_weights_and_exhausts_each_source() -> None:
    found = documents(*["docs/a"] * 5, *["mail/b"] * 20, "other/c")
    recipe = RecipeConfig(batch_documents=8, mixture=(("docs/*", 3), ("mail/*", 1)))
    counts = use_counts(found, recipe, 1, 25)
    assert sum(counts[i] for i in range(5)) == 150
    assert sum(counts[i] for i in range(5, 25)) == 50
    assert counts[25] == 0
    assert {counts[i] for i in range(5)} == {30}
    assert {counts[i] for i in range(5, 25)} <= {2, 3}


def test_a_draw_depends_on_its_arguments_alone() -> None:
    found = documents(*["a/x"] * 9, *["b/x"] * 9)
    recipe = RecipeConfig(batch_documents=4, mixture=(("a/*", 1), ("b/*", 2)))
    forwards = [select(found, recipe, 3, iteration) for iteration in range(1, 12)]
    backwards = [select(found, recipe, 3, iteration) for iteration in range(11, 0, -1)]
    assert forwards == backwards[::-1]
    assert forwards != [select(found, recipe, 4, iteration) for iteration in range(1, 12)]


def test_a_pattern_that_matches_nothing_is_an_error() -> None:
    recipe = RecipeConfig(batch_documents=2, mixture=(("docs/*", 1), ("mail/*", 1)))
    with pytest.raises(ConfigError, match=r"mixture.*mail"):
        select(documents("docs/a"), recipe, 0, 1)


def test_a_larger_budget_adds_documents_and_takes_whole_ones() -> None:
    found = [Document(f"{i:016x}-{part:05d}", f"{i}", "text") for i in range(30) for part in range(3)]
    kept = [{one.source for one in within_budget(found, budget)} for budget in (5, 10, 29)]
    assert [len(one) for one in kept] == [5, 10, 29]
    assert kept[0] < kept[1] < kept[2]
    assert len(within_budget(found, 5)) == 15
    assert within_budget(found, 0) == within_budget(found, 30) == found
    assert Counter(one.source for one in within_budget(found, 10)).most_common(1)[0][1] == 3


def test_groups_that_are_known_change_no_draw() -> None:
    found = documents(*["a/x"] * 9, *["b/x"] * 9)
    recipe = RecipeConfig(batch_documents=4, mixture=(("a/*", 1), ("*", 2)))
    groups = grouped(found, recipe.mixture)
    assert [group.tolist() for group in groups] == [list(range(9)), list(range(9, 18))]
    for iteration in range(1, 9):
        assert select(found, recipe, 3, iteration, groups=groups) == select(found, recipe, 3, iteration)


def test_documents_that_match_are_read_from_where_they_are() -> None:
    found = documents(*"abcabc")
    chosen = matching(found, (one.source != "b" for one in found))
    assert isinstance(chosen, Chosen)
    assert list(chosen) == [chosen[place] for place in range(len(chosen))] == [found[i] for i in (0, 2, 3, 5)]
    assert matching(found, (True for _ in found)) is found
