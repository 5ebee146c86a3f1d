import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spice.selfplay.rewards import (
    challenger_reward,
    composite_rewards,
    reasoner_rewards,
    task_reward,
    variance_reward,
    without_repetition,
)
from spice.selfplay.types import Verdict


@pytest.mark.parametrize(
    ("right", "reward"),
    [(0, 0.044), (1, 0.372), (2, 0.823), (3, 0.988), (4, 1.000), (5, 0.988), (6, 0.823), (7, 0.372), (8, 0.044)],
)
def test_reward_by_number_right_of_eight(right, reward):
    correct = [True] * right + [False] * (8 - right)

    assert challenger_reward(correct) == pytest.approx(reward, abs=5e-4)
    assert variance_reward(right / 8) == challenger_reward(correct)


@given(st.floats(0, 1))
def test_reward_is_symmetric_and_peaks_at_one_half(p):
    assert variance_reward(p) == pytest.approx(variance_reward(1 - p))
    assert 0.0 < variance_reward(p) <= variance_reward(0.5) == 1.0


def test_reward_of_an_array_is_elementwise():
    p = np.array([[0.0, 0.25], [0.5, 1.0]])

    assert variance_reward(p).tolist() == [[variance_reward(x) for x in row] for row in p.tolist()]


def test_width_is_an_argument():
    assert variance_reward(0.0, sigma2=0.03125) == pytest.approx(np.exp(-1.0))


def test_invalid_attempt_gets_the_penalty():
    assert challenger_reward(None) == -0.1
    assert challenger_reward(None, invalid=-0.5) == -0.5


def test_valid_attempt_without_answers_is_refused():
    with pytest.raises(ValueError, match="None for an invalid attempt"):
        challenger_reward([])


def test_reasoner_is_paid_for_right_answers_only():
    assert reasoner_rewards([True, False, True]).tolist() == [1.0, 0.0, 1.0]


@pytest.mark.parametrize(
    ("kind", "by_right_of_four"),
    [
        ("threshold", [0, 1, 1, 1, 0]),
        ("absolute_zero", [0, 3 / 4, 1 / 2, 1 / 4, 0]),  # Zhao et al., 2025: 0 for a rate of 0 or 1, else 1 - rate
        ("r_zero", [0, 1 / 2, 1, 1 / 2, 0]),  # Huang et al., 2025: 1 - 2 |p - 1/2|
        # p (1 - p) 4/3 is 0, 1/4, 1/3, 1/4, 0: the bell's top moves to one and three of four.
        ("sample_variance", [0.04394, 1.0, np.exp(-((1 / 12) ** 2) / 0.02), 1.0, 0.04394]),
        ("variance", [0.04394, np.exp(-((1 / 16) ** 2) / 0.02), 1.0, np.exp(-((1 / 16) ** 2) / 0.02), 0.04394]),
    ],
)
def test_rewards_of_the_rivals_by_hand(kind, by_right_of_four):
    paid = [challenger_reward([True] * right + [False] * (4 - right), kind=kind) for right in range(5)]

    assert paid == pytest.approx(by_right_of_four, abs=1e-5)


@given(st.sampled_from(["variance", "sample_variance", "threshold", "absolute_zero", "r_zero"]), st.integers(0, 8))
def test_no_reward_of_a_valid_task_leaves_the_unit_interval(kind, right):
    assert 0.0 <= task_reward(kind, right / 8, 8) <= 1.0


def test_absolute_zero_pays_wrong_answers_less_than_none_and_unreadable_ones_least():
    verdicts = [Verdict(True, "4"), Verdict(False, "5"), Verdict(False, None)]

    assert composite_rewards(verdicts).tolist() == [1.0, -0.5, -1.0]


def test_a_repetition_penalty_takes_nothing_below_zero():
    assert without_repetition([1.0, 0.5, 0.1], [0.25, 0.25, 0.25]) == [0.75, 0.25, 0.0]
