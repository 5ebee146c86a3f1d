import pytest

from spice.config import RecipeConfig
from spice.selfplay.format import parse_selection, select_format
from spice.selfplay.types import Document, Task
from spice.selfplay.validity import is_grounded, is_standalone, is_unleaked, malformation, validity

DOCUMENT = Document(
    id="d1",
    source="bridges.txt",
    title="Sella Bridge",
    text="The Sella Bridge was opened on 3 May 1911.\nIts seven arches span 84 m. Ida  Brandt used “red granite”.",
)
OPTIONS = ("Ida Brandt", "Tom Averill", "Anna Reeve", "John Hask")


def task(question="Who built the Sella Bridge?", answer="Ida Brandt", **fields):
    return Task("free_form", question, answer, **fields)


@pytest.mark.parametrize(
    ("candidate", "grounded"),
    [
        (task(answer="ida brandt"), True),
        (task(answer="the Sella  bridge."), True),
        (task(answer="Brand"), False),
        (task(answer="12", evidence=("Its seven arches\nspan 84 m.",)), True),
        (task(answer="12", evidence=("Its seven arches span 85 m.",)), False),
        (task(answer="12", evidence=("the", "It")), False),
    ],
)
def test_grounded(candidate, grounded):
    assert is_grounded(candidate, DOCUMENT) is grounded


@pytest.mark.parametrize(
    ("question", "standalone"),
    [
        ("Who built the Sella Bridge?", True),
        ("Sella Bridge: who built it?", True),
        ("What was opened in 1911?", True),
        ("Where does one find 'red granite'?", True),
        ("Who built it?", False),
        ("What is the capital of Latvia?", False),
        ("According to the text, who built the Sella Bridge?", False),
        ("What does the author say of the Sella Bridge?", False),
        ("Which of the following built the Sella Bridge?", False),
        ("Who built the Sella Bridge mentioned above?", False),
        ("", False),
    ],
)
def test_standalone(question, standalone):
    assert is_standalone(task(question), DOCUMENT) is standalone


@pytest.mark.parametrize(
    ("question", "answer", "unleaked"),
    [
        ("Who built the Sella Bridge?", "Ida Brandt", True),
        ("What did Ida Brandt build?", "ida  brandt", False),
        ("What is 12 times 7?", "2", True),
        ("What is 2 times 7?", "2", False),
    ],
)
def test_unleaked(question, answer, unleaked):
    assert is_unleaked(task(question, answer)) is unleaked


@pytest.mark.parametrize(
    ("candidate", "fault"),
    [
        (task(), ""),
        (task(" "), "empty"),
        (task(answer="..."), "empty"),
        (task(answer="1,024", answer_type="integer"), ""),
        (task(answer="many", answer_type="integer"), "integer"),
        (task(answer="4.5", answer_type="integer"), "integer"),
        (task(answer=r"\frac{1}{2} \sqrt{x}", answer_type="expression"), ""),
        (task(answer="3 km", answer_type="expression"), ""),
        (task(answer="about half of it", answer_type="expression"), "expression"),
        (task(answer=r"\frac{1}{2", answer_type="expression"), "expression"),
        (Task("multiple_choice", "Who?", "Ida Brandt", options=OPTIONS), ""),
        (Task("multiple_choice", "Who?", "Clara", options=OPTIONS), "not one of the options"),
        (Task("multiple_choice", "Who?", "Ida Brandt"), "not one of the options"),
        (Task("multiple_choice", "Who?", "cat", options=("cat", "the cat", "dog", "cow")), "told apart"),
        (Task("multiple_choice", "Who?", "N", options=("N", "A", "X", "Y")), "told apart"),
    ],
)
def test_malformation(candidate, fault):
    assert fault in malformation(candidate)
    assert bool(fault) == bool(malformation(candidate))


BAD = task("Who in the text is Ida Brandt?", "Ida Brandt")
FOREIGN = task("Who built the Sella Bridge?", "Gustave Eiffel")


@pytest.mark.parametrize(
    ("candidate", "required", "reason"),
    [
        (task(), {"require_grounded": True, "require_standalone": True, "require_unleaked": True}, ""),
        (BAD, {}, ""),
        (BAD, {"require_grounded": True}, ""),
        (BAD, {"require_standalone": True}, "stand alone"),
        (BAD, {"require_unleaked": True}, "contains the answer"),
        (FOREIGN, {}, ""),
        (FOREIGN, {"require_grounded": True}, "stands in the document"),
        (task(answer="", answer_type="integer"), {}, "empty"),
    ],
)
def test_a_check_decides_only_where_the_recipe_requires_it(candidate, required, reason):
    valid, why, _ = validity(candidate, DOCUMENT, RecipeConfig(**required))

    assert valid == (not reason)
    assert reason in why
    assert bool(reason) == bool(why)


def test_every_check_is_measured_whatever_the_recipe():
    assert validity(BAD, DOCUMENT, RecipeConfig()).checks == {
        "well_formed": True,
        "grounded": True,
        "standalone": False,
        "unleaked": False,
    }


@pytest.mark.parametrize(
    ("text", "selection"),
    [
        ("free_form", "free_form"),
        ("Multiple_Choice.", "multiple_choice"),
        ("multiple_choice or free_form", None),
        ("essay", None),
        ("", None),
    ],
)
def test_parse_selection(text, selection):
    assert parse_selection(text) == selection


BOTH = ("multiple_choice", "free_form")
NUMBERS = Document("d2", "n.txt", "From 12 to 15 and from 3.5 to 4,000.")
PROSE = Document("d3", "p.txt", NUMBERS.text + " So it was told by the old people of the valley." * 20)


@pytest.mark.parametrize(
    ("document", "formats", "selection", "chosen"),
    [
        (DOCUMENT, BOTH, "free_form", "free_form"),
        (NUMBERS, BOTH, "multiple_choice", "multiple_choice"),
        (DOCUMENT, BOTH, "", "multiple_choice"),
        (NUMBERS, BOTH, "hm", "free_form"),
        (PROSE, BOTH, "", "multiple_choice"),
        (NUMBERS, ("multiple_choice",), "free_form", "multiple_choice"),
    ],
)
def test_select_format(document, formats, selection, chosen):
    assert select_format(document, formats, selection) == chosen
