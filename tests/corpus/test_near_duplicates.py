from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spice.corpus import near_duplicates as nd


def jaccard(a: str, b: str) -> float:
    """The definition, on strings."""

    def grams(text: str) -> set[tuple[str, ...]]:
        words = text.split(" ")
        return {tuple(words[i : i + 5]) for i in range(max(1, len(words) - 4))}

    return len(grams(a) & grams(b)) / len(grams(a) | grams(b))


words = st.lists(st.sampled_from("a b c dd eé".split()), min_size=1, max_size=40).map(" ".join)


@given(words, words)
def test_similarity_of_shingles_is_jaccard_over_word_5_grams(a: str, b: str) -> None:
    assert nd.similarity(nd.shingles(a), nd.shingles(b)) == pytest.approx(jaccard(a, b))


def test_shingles_of_a_text_longer_than_a_chunk_are_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(3)
    text = " ".join("".join(rng.choices("abcdefgh", k=rng.randint(1, 9))) for _ in range(3000))
    whole = nd.shingles(text)
    monkeypatch.setattr(nd, "_CHUNK", 500)
    assert np.array_equal(nd.shingles(text), whole)
    assert len(nd.shingles("x" * 2000 + " y z")) >= 1


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.8, 0.9, 1.0])
def test_bands_find_what_is_above_the_threshold(threshold: float) -> None:
    bands, rows = nd.bands_for(threshold)
    assert bands * rows <= 128
    assert 1 - (1 - threshold**rows) ** bands >= 0.995 or rows == 1


def test_planted_copies_are_found_and_others_are_not() -> None:
    rng = random.Random(7)
    vocabulary = [f"w{i}" for i in range(2000)]
    texts: list[str] = []
    expected: dict[int, int] = {}
    for _ in range(150):
        original = rng.choices(vocabulary, k=300)
        first = len(texts)
        texts.append(" ".join(original))
        for changes in (2, 4, 30):
            copy = list(original)
            for at in rng.sample(range(300), changes):
                copy[at] = "new"
            if jaccard(texts[first], " ".join(copy)) >= 0.8:
                expected[len(texts)] = first
            texts.append(" ".join(copy))
    found = find(texts, 0.8)
    assert len(expected) > 200
    assert found.items() <= expected.items()
    assert len(found) / len(expected) >= 0.99


def test_a_chain_of_similar_texts_does_not_collapse() -> None:
    base = [f"w{i}" for i in range(100)]
    chain = [" ".join(base[step * 8 : step * 8 + 60]) for step in range(5)]
    assert jaccard(chain[0], chain[1]) >= 0.7 > jaccard(chain[0], chain[2])
    assert find(chain, 0.7) == {1: 0, 3: 2}


@settings(max_examples=30)
@given(st.lists(words, max_size=8))
def test_whatever_is_dropped_repeats_an_earlier_kept_text(texts: list[str]) -> None:
    found = find(texts, 0.8)
    for dropped, kept in found.items():
        assert kept < dropped
        assert kept not in found
        assert jaccard(texts[dropped], texts[kept]) >= 0.8


def find(texts: list[str], threshold: float) -> dict[int, int]:
    sets = [nd.shingles(text) for text in texts]
    shape = nd.bands_for(threshold)
    bands = np.array([nd.band_hashes([hashes], *shape) for hashes in sets], np.uint64).reshape(len(texts), shape[0])
    found = nd.near_duplicates(bands.T, len(sets), sets.__getitem__, threshold)
    return {document: int(other) for document, other in enumerate(found.of) if other >= 0}
