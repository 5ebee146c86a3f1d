import pytest

from spice.selfplay.labels import majority
from spice.selfplay.types import Task

FREE = Task("free_form", "How many?", "?")
CHOICE = Task("multiple_choice", "Who?", "ant", options=("ant", "bee", "cat", "dog"))
TURNED = Task("multiple_choice", "Who?", "ant", options=("cat", "dog", "ant", "bee"))


@pytest.mark.parametrize(
    ("extracted", "expected"),
    [
        (["4", "4", "5"], ("4", 2 / 3)),
        (["1,000", "1000", "7", None], ("1,000", 1 / 2)),  # by value; a vote that cannot be read counts in the share
        (["The Nile.", "nile", "Amazon"], ("The Nile.", 2 / 3)),
        (["5", "4"], ("5", 1 / 2)),  # the first among equals
        ([None, None], None),
        (["...", None], None),
    ],
)
def test_free_answers(extracted, expected):
    assert majority(extracted, [FREE] * len(extracted)) == expected


def test_letters_count_as_the_option_that_each_voter_saw():
    assert majority(["B", "D", "C"], [CHOICE, TURNED, CHOICE]) == ("bee", 2 / 3)


def test_an_answer_that_is_no_option_is_no_vote():
    assert majority(["elk", "ant"], [CHOICE, CHOICE]) == ("ant", 1 / 2)
