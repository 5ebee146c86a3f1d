import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spice.selfplay.advantages import Move, advantages, drgrpo_advantages
from spice.selfplay.rewards import challenger_reward, reasoner_rewards

rewards = st.lists(st.floats(-10, 10), min_size=1, max_size=50)


@given(rewards)
def test_sum_to_zero(values):
    assert drgrpo_advantages(values).sum() == pytest.approx(0.0, abs=1e-9)


@given(rewards, st.floats(-10, 10))
def test_a_constant_added_to_all_rewards_changes_nothing(values, shift):
    shifted = drgrpo_advantages(np.asarray(values) + shift)

    np.testing.assert_allclose(shifted, drgrpo_advantages(values), atol=1e-9)


@given(rewards, st.floats(0.1, 10))
def test_scale_of_the_rewards_is_kept(values, scale):
    """No division by the standard deviation: that is what DrGRPO takes out of GRPO."""
    np.testing.assert_allclose(
        drgrpo_advantages(np.asarray(values) * scale), drgrpo_advantages(values) * scale, atol=1e-9
    )


def test_empty_batch_has_no_advantages():
    assert drgrpo_advantages([]).shape == (0,)


def test_hand_computed_iteration():
    """Two documents, G = 4, two attempts kept each.

    Document 1: a task with 2 of 4 right and an invalid attempt; document 2: tasks with 1 and 4 of 4 right.
    p = 1/2 -> 1; p = 1/4: exp(-(0.1875 - 0.25)^2 / 0.02) = exp(-0.1953125); p = 1: exp(-0.0625 / 0.02) = exp(-3.125).
    """
    answers = [[True, True, False, False], None, [True, False, False, False], [True] * 4]
    challenger = [challenger_reward(correct) for correct in answers]
    np.testing.assert_allclose(challenger, [1.0, -0.1, 0.822578, 0.043937], atol=1e-6)
    # mean = (1 - 0.1 + 0.822578 + 0.043937) / 4 = 0.441629
    np.testing.assert_allclose(drgrpo_advantages(challenger), [0.558371, -0.541629, 0.380949, -0.397692], atol=2e-6)

    # The Reasoner trains on the first task of document 1 and the first of document 2: 3 of 8 right, mean 0.375.
    reasoner = np.concatenate([reasoner_rewards(answers[0]), reasoner_rewards(answers[2])])
    assert drgrpo_advantages(reasoner).tolist() == [0.625, 0.625, -0.375, -0.375, 0.625, -0.375, -0.375, -0.375]


def test_the_reasoner_by_task_and_the_challenger_by_batch():
    moves = [
        *(Move("challenger", document, "", reward) for document, reward in (("a", 1.0), ("b", 0.5), ("b", 0.0))),
        *(Move("reasoner", task, "", reward) for task, reward in ((0, 1.0), (0, 0.0), (1, 0.0), (1, 0.0))),
    ]
    assert advantages(moves, "reasoner_group_mean").tolist() == [0.5, 0.0, -0.5, 0.5, -0.5, 0.0, 0.0]


MOVES = [
    Move("challenger", "p", "deduction", 1.0),
    Move("challenger", "p", "induction", 0.0),
    Move("reasoner", 1, "deduction", 1.0),
    Move("reasoner", 1, "deduction", 0.0),
    Move("reasoner", 2, "induction", 1.0),
    Move("reasoner", 2, "deduction", 1.0),
]


@pytest.mark.parametrize(
    ("estimator", "expected"),
    [
        # Means: challenger 1/2, reasoner 3/4.
        ("drgrpo", [0.5, -0.5, 0.25, -0.75, 0.25, 0.25]),
        # Mean of all six: 2/3.
        ("joint_mean", [1 / 3, -2 / 3, 1 / 3, -2 / 3, 1 / 3, 1 / 3]),
        # Groups p, 1 and 2 with means 1/2, 1/2 and 1.
        ("group_mean", [0.5, -0.5, 0.5, -0.5, 0.0, 0.0]),
        # The same over standard deviations of 1/2, 1/2 and 0.
        ("grpo", [1.0, -1.0, 1.0, -1.0, 0.0, 0.0]),
        # Alone of role and kind: the challenger's two and the fifth. The others: mean 2/3, deviation sqrt(2)/3.
        ("reinforce_plus_plus", [0.0, 0.0, 0.70711, -1.41421, 0.0, 0.70711]),
    ],
)
def test_estimators_by_hand(estimator, expected):
    np.testing.assert_allclose(advantages(MOVES, estimator), expected, atol=1e-5)


def test_drgrpo_of_moves_is_that_of_each_role_alone():
    for role in ("challenger", "reasoner"):
        alone = drgrpo_advantages([move.reward for move in MOVES if move.role == role])
        among = [a for a, move in zip(advantages(MOVES, "drgrpo"), MOVES, strict=True) if move.role == role]
        assert among == alone.tolist()


def test_no_moves_no_advantages():
    assert advantages([], "grpo").shape == (0,)
