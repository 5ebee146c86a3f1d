from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spice.config import RecipeConfig
from spice.errors import ConfigError
from spice.selfplay.frontier import Frontier
from spice.selfplay.recipes import resolve
from spice.selfplay.selection import draw_frontier, frontier_probabilities, select, use_counts
from spice.selfplay.types import Document

RECIPE = RecipeConfig(batch_documents=2, sampling="frontier")
SCORES = st.lists(st.floats(0.0, 1.0), min_size=1, max_size=30).map(np.array)


def documents(count: int) -> list[Document]:
    return [Document(f"d{i}", f"{i}.md", "text") for i in range(count)]


@given(SCORES)
def test_every_document_can_be_drawn(scores: np.ndarray) -> None:
    found = frontier_probabilities(scores)
    assert found.shape == scores.shape
    assert found.sum() == pytest.approx(1.0)
    assert found.min() >= 0.25 / len(scores) * (1.0 - 1e-9)
    order = np.argsort(scores, kind="stable")
    assert (np.diff(found[order]) >= 0.0).all(), "a better score is never less probable"


@given(SCORES, st.integers(1, 70), st.integers(0, 3), st.integers(1, 9))
def test_positions_are_valid_and_come_equally_often(scores: np.ndarray, batch: int, seed: int, iteration: int) -> None:
    probabilities = frontier_probabilities(scores)
    drawn = draw_frontier(probabilities, batch, seed, iteration)
    counts = Counter(drawn)
    assert len(drawn) == batch
    assert set(drawn) <= set(range(len(scores)))
    assert max(counts.values()) <= -(-batch // len(scores))
    assert drawn == draw_frontier(probabilities, batch, seed, iteration)


def test_the_first_draw_has_the_probabilities_that_are_told() -> None:
    probabilities = frontier_probabilities(np.array([0.0, 0.1, 0.3]))
    assert probabilities == pytest.approx([0.25 / 3, 0.25 / 3 + 0.75 / 4, 0.25 / 3 + 0.75 * 3 / 4])
    draws = 4000
    counts = Counter(draw_frontier(probabilities, 2, 0, iteration)[0] for iteration in range(1, draws + 1))
    for position, probability in enumerate(probabilities):
        error = (probability * (1.0 - probability) / draws) ** 0.5
        assert counts[position] / draws == pytest.approx(probability, abs=4 * error)


def test_what_was_never_drawn_counts_as_good_as_the_best() -> None:
    frontier = Frontier(documents(3))
    assert frontier.scores().tolist() == [0.0, 0.0, 0.0]
    frontier.add([("d0", 0.8), ("d0", 0.6), ("d1", 0.1), ("d1", -0.1)])
    first, second, third = frontier.scores()
    assert first == pytest.approx(0.7)
    assert third == pytest.approx(0.7)
    assert second == pytest.approx((0.05 + 0.5 * 0.7) / 1.5), "a penalty counts as nothing earned"


def test_what_was_drawn_long_ago_is_promising_again() -> None:
    frontier = Frontier(documents(2))
    frontier.add([("d0", 0.9), ("d1", 0.0)])
    seen = [float(frontier.scores()[1])]
    for _ in range(60):
        frontier.add([("d0", 0.9)])
        seen.append(float(frontier.scores()[1]))
    assert seen == sorted(seen)
    assert seen[0] == pytest.approx(0.3)
    assert seen[-1] > 0.8


def test_a_document_that_is_gone_is_passed_over() -> None:
    frontier, other = Frontier(documents(2)), Frontier(documents(2))
    frontier.add([("d0", 0.5), ("erased", 1.0)])
    other.add([("d0", 0.5)])
    assert frontier.scores().tolist() == other.scores().tolist()


def test_selection_follows_the_scores() -> None:
    found = documents(6)
    scores = np.array([1.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    counts = Counter(i for n in range(1, 301) for i in select(found, RECIPE, 5, n, scores))
    assert counts[0] > 250
    assert all(counts[i] > 0 for i in range(6))
    assert select(found, RECIPE, 5, 1) == select(found, RECIPE, 5, 1, np.zeros(6))


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"mixture": (("a/*", 1.0),)}, "recipe.mixture"), ({"name": "no_corpus"}, "no_corpus has none")],
)
def test_what_does_not_go_together_is_refused(changes: dict[str, object], message: str) -> None:
    resolve(RECIPE)
    with pytest.raises(ConfigError, match=message):
        resolve(RecipeConfig.model_validate({**RECIPE.model_dump(), **changes}))


def test_uses_cannot_be_told_from_the_configuration() -> None:
    with pytest.raises(ConfigError, match="Count the documents"):
        use_counts(documents(3), RECIPE, 0, 2)
