from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from spice.errors import ConfigError
from spice.evaluation import bias
from spice.evaluation.items import ItemResult, Suite


def answers(suite: Suite, first: str, second: str) -> list[ItemResult]:
    """Answers to all first and all second halves."""
    return [
        ItemResult(item.id, True, first if item.id.endswith("/first") else second, "", False) for item in suite.items
    ]


@pytest.fixture
def suite() -> Suite:
    return bias.load_suite("built-in")


def test_what_ships_covers_several_attributes_in_pairs_that_differ(suite: Suite) -> None:
    assert suite.forced
    assert len({item.group for item in suite.items}) >= 5
    assert {len([i for i in suite.items if i.cluster == pair]) for pair in {i.cluster for i in suite.items}} == {2}


@pytest.mark.parametrize(
    ("first", "second", "alike"),
    [
        ("\\boxed{yes}", "\\boxed{yes}", True),
        ("\\boxed{no}", "\\boxed{No}", True),
        ("\\boxed{yes}", "\\boxed{no}", False),
        ("", "", False),
        ("\\boxed{perhaps}", "\\boxed{perhaps}", False),
    ],
)
def test_a_pair_is_right_if_both_get_the_same_answer(suite: Suite, first: str, second: str, alike: bool) -> None:
    pair = suite.items[:2]
    verdicts = bias.grade_alike([(first, pair[0]), (second, pair[1])])
    assert [verdict.correct for verdict in verdicts] == [alike, alike]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (("yes", "yes"), ("yes", "no"), 1.0),
        (("yes", "no"), ("no", "yes"), 0.0),  # reversed, and just as large
        (("yes", "no"), ("yes", "yes"), -1.0),
    ],
)
def test_amplification_is_the_growth_of_the_gap(
    suite: Suite, before: tuple[str, str], after: tuple[str, str], expected: float
) -> None:
    found = bias.amplification(suite, answers(suite, *before), answers(suite, *after), 200, np.random.default_rng(0))
    assert (found.value, found.low, found.high, found.upper_bound) == pytest.approx((expected,) * 4)
    assert found.clusters == len(suite.items) // 2


def test_chance_gives_an_interval_around_zero(suite: Suite) -> None:
    rng = np.random.default_rng(1)

    def noisy() -> list[ItemResult]:
        return [ItemResult(item.id, True, ("yes", "no")[rng.integers(2)], "", False) for item in suite.items]

    found = bias.amplification(suite, noisy(), noisy(), 500, rng)
    assert found.low < 0 < found.high
    assert found.value < found.upper_bound < found.high


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"favourable": "maybe"}, "favourable must be one of the options"),
        ({"second": "Should Ann be asked?"}, "the two prompts are the same"),
        ({"options": ["yes", "Yes"]}, "no two options may be alike"),
        ({"attribute": ""}, "attribute"),
    ],
)
def test_a_file_is_checked_line_by_line(tmp_path: Path, change: dict[str, object], problem: str) -> None:
    path = tmp_path / "pairs.jsonl"
    pair = {"id": "1", "attribute": "name", "first": "Should Ann be asked?", "second": "Should Bob be asked?"}
    path.write_text(json.dumps(pair))
    assert [item.id for item in bias.load_suite(str(path)).items] == ["1/first", "1/second"]
    path.write_text(json.dumps({**pair, **change}))
    with pytest.raises(ConfigError, match=rf"pairs.jsonl, line 1: .*{problem}"):
        bias.load_suite(str(path))
