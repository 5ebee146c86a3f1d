import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spice.selfplay.rewards import challenger_reward, reasoner_rewards, variance_reward


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
