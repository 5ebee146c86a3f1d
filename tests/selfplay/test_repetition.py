import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spice.selfplay.repetition import bleu, repetition_penalties

questions = st.lists(st.text("abc ", max_size=20), max_size=8)


def test_bleu_by_hand():
    # 5 words against 6: 4 of 5 words, 2 of 4 pairs, 1 of 3 triples match, no four in a row; 1 - 6/5 is the brevity.
    found = bleu("the cat sat on mats".split(), "the cat sat under two mats".split())

    precisions = (4 / 5, 2 / 4, 1 / 3, 0.1 / 2)
    assert found == pytest.approx(math.exp(-1 / 5) * math.prod(precisions) ** (1 / 4))


@pytest.mark.parametrize(("one", "other", "score"), [("a", "a", 1.0), ("a b c d e", "a b c d e", 1.0), ("", "a", 0.0)])
def test_bleu_of_equal_and_of_empty(one, other, score):
    assert bleu(one.split(), other.split()) == pytest.approx(score)


def test_a_repeated_question_pays_its_share_of_the_batch():
    batch = ["How high is the bridge of Vess?"] * 3 + ["Which king ruled Dunmere in 1402?"]

    assert repetition_penalties(batch) == [3 / 4, 3 / 4, 3 / 4, 1 / 4]


@given(questions)
def test_penalties_are_shares_of_the_batch_and_equal_questions_pay_alike(batch):
    penalties = repetition_penalties(batch)

    assert all(1 / len(batch) <= penalty <= 1 for penalty in penalties)
    assert all(
        penalties[i] == penalties[j]
        for i, one in enumerate(batch)
        for j, other in enumerate(batch)
        if one == other and one.strip()
    )
