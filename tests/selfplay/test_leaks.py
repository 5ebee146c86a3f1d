import pytest

from spice.selfplay.leaks import gives_away


@pytest.mark.parametrize(
    ("question", "answer", "expected"),
    [
        ("Which city do Latvians call their capital?", "Latvia", True),  # another ending
        ("Who was Sklodowska, Marie?", "Marie Sklodowska", True),  # another order
        ("Which town of 17964697 people is it?", "17,964,697", True),
        ("Which town, R-i-g-a-Port, is it?", "Riga Port", True),
        ("Which town is RIGAPORT?", "Riga Port", True),
        ("Which city governs the Latvians?", "Riga", False),
        ("Which state has the longest coast?", "Station", False),  # other words
        ("What is the holiday of Anguilla?", "Anguilla Day", False),
        ("Who was Marie?", "Marie Sklodowska", False),  # half of it
        ("What does x^2 + 2 give?", "4", False),
        ("Which year came after 1911?", "1912", False),  # numbers have no endings
        ("Who ran the race?", "Ran Li", False),  # short words prove nothing
        ("", "Riga", False),
        ("Which city?", "", False),
    ],
)
def test_answers_in_disguise(question, answer, expected):
    assert gives_away(question, answer) is expected
