from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from spice.corpus.clean import clean
from spice.corpus.segment import segment


def count(texts: Sequence[str]) -> list[int]:
    return [len(text.split()) for text in texts]


def count_characters(texts: Sequence[str]) -> list[int]:
    return [len(text) for text in texts]


def cut(text: str, limit: int) -> list[str]:
    return [piece.text for piece in segment([text], limit, 200_000, count)[0]]


def test_whole_paragraphs_are_packed_together() -> None:
    text = "a a a\n\nb b b\n\nc c c c\n\nd"
    assert cut(text, 8) == ["a a a\n\nb b b", "c c c c\n\nd"]


def test_long_paragraph_is_cut_at_sentence_ends_then_words() -> None:
    text = 'One two three. "Four five six!" Seven eight nine? Ten.\n\nz z'
    assert cut(text, 6) == ["One two three.", '"Four five six!"', "Seven eight nine? Ten.", "z z"]
    assert cut(" ".join(map(str, range(20))), 8)[0].startswith("0 1 2")
    assert max(len(piece.split()) for piece in cut(" ".join(map(str, range(100))), 8)) <= 8


def test_text_without_blanks_is_cut_anywhere() -> None:
    pieces = segment(["漢" * 1000], 50, 200_000, count_characters)[0]
    assert "".join(piece.text for piece in pieces) == "漢" * 1000
    assert all(piece.tokens <= 50 for piece in pieces)


def test_nothing_gives_nothing() -> None:
    assert segment([], 50, 1000, count) == []
    assert segment(["", " \n\n\t"], 50, 1000, count) == [[], []]


texts = st.text(alphabet="ab .\n\t\r!\u200bé漢", max_size=300)


@given(st.lists(texts, max_size=4), st.integers(4, 30), st.sampled_from([count, count_characters]))
def test_pieces_are_in_order_within_limits_and_lose_nothing(documents: list[str], limit: int, counter: object) -> None:
    found = segment(documents, limit, 1000, counter)  # type: ignore[arg-type]
    assert len(found) == len(documents)
    for document, pieces in zip(documents, found, strict=True):
        position = 0
        for piece in pieces:
            assert position <= piece.start < piece.end
            assert not clean(document[position : piece.start])
            assert piece.text == clean(document[piece.start : piece.end])
            assert piece.tokens <= limit
            assert [piece.tokens] == counter([piece.text])  # type: ignore[operator]
            position = piece.end
        assert not clean(document[position:])
