from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from spice.arena import page
from spice.arena.compare import Comparison, tabulate
from spice.arena.results import ArmResult
from spice.arena.table import markdown

Make = Callable[..., ArmResult]


@pytest.fixture
def found(make_arm: Make) -> Comparison:
    arms = [
        *(make_arm("spice", seed, 0.4, 0.8, tokens=3000) for seed in range(3)),
        *(make_arm("fixed_challenger", seed, 0.4, 0.6) for seed in range(3)),
        *(make_arm("random_reward", seed, 0.4, 0.2, alarms={"repetition": 90 + seed}) for seed in range(3)),
    ]
    return tabulate(arms)


def test_rows_are_led_by_spice_and_then_by_accuracy(found: Comparison) -> None:
    assert [row.recipe for row in found.rows] == ["spice", "fixed_challenger", "random_reward"]
    first, _, last = found.rows
    assert first.gain.low > 0.2
    assert last.gain.high < 0
    assert set(last.collapsed) == {"0", "1", "2"}
    assert not first.collapsed
    assert (first.labels_first, first.labels_last) == pytest.approx((0.9725, 0.5225))


def test_every_pair_is_compared_and_corrected(found: Comparison) -> None:
    assert [(pair.ours, pair.theirs) for pair in found.pairs] == [
        ("spice", "fixed_challenger"),
        ("spice", "random_reward"),
        ("fixed_challenger", "random_reward"),
    ]
    assert all(pair.low > 0 and pair.p_holm >= pair.p for pair in found.pairs)


def test_equal_tokens_stop_the_spender(found: Comparison) -> None:
    spice = found.rows[0]
    assert found.token_budget == 4000
    # Three times the tokens of the others: within their budget it had come to its second checkpoint.
    assert spice.at_equal_tokens.value == pytest.approx(spice.curve[1].accuracy.value)
    assert spice.at_equal_seconds == spice.end


def test_an_uneven_table_is_refused(make_arm: Make) -> None:
    with pytest.raises(ValueError, match="same seeds"):
        tabulate([make_arm("spice", 0, 0.4, 0.8), make_arm("no_corpus", 1, 0.4, 0.8)])


def test_one_seed_says_so(make_arm: Make) -> None:
    text = markdown(tabulate([make_arm("spice", 0, 0.4, 0.8)]))
    assert "One seed says nothing of other seeds" in text


def test_markdown_states_budgets_and_costs(found: Comparison) -> None:
    text = markdown(found)
    assert "Every arm took 100 updates" in text
    assert "Equal tokens: 4,000 generated" in text
    assert re.search(r"\| spice \| 0\.0002 \| 100 \| 12,000 \| 40 \|", text)
    assert "seed 0 from" in text
    assert "| spice | none |" in text
    assert "| random_reward | repetition 91% |" in text


def test_a_search_for_learning_rates_is_told(found: Comparison) -> None:
    assert "Learning rates" not in markdown(found)
    searched = found.model_copy(update={"tuning": {"spice": {"0.0001": 0.5, "0.0002": 0.75}}})
    assert "| recipe | 0.0001 | 0.0002 |" in markdown(searched)
    assert "| spice | 0.500 | 0.750 |" in markdown(searched)


def test_the_page_stands_alone(found: Comparison) -> None:
    html = page.render(found)
    assert html.count("<svg") >= 4
    assert "<script" not in html
    assert not re.search(r"(?:src|href)=", html)
    assert page.svg(found).startswith("<svg xmlns=")
