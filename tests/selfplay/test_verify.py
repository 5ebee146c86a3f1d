import os
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spice.errors import SpiceError
from spice.selfplay.answers import choose, contains, extract_boxed, normalise, parse_integer
from spice.selfplay.types import Task, Verdict
from spice.selfplay.verify import Verifier

CITIES = ("Oslo", "the Hague", "Riga", "New York")


def free_form(answer, answer_type="expression"):
    return Task("free_form", "What is it?", answer, answer_type)


def multiple_choice(answer="Riga", options=CITIES):
    return Task("multiple_choice", "Which city?", answer, options=options)


@pytest.fixture(scope="module")
def verifier():
    with Verifier(timeout_s=1.0) as verifier:
        yield verifier


def is_right(verifier, answer, task):
    [verdict] = verifier.check([(rf"So it is \boxed{{{answer}}}.", task)])
    return verdict.correct


@pytest.mark.parametrize(
    ("response", "content"),
    [
        (r"\boxed{Riga}", "Riga"),
        (r"First \boxed{1}, no: \boxed{2}.", "2"),
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed{\boxed{3}}", "3"),
        (r"\fbox{4} ", "4"),
        (r"\boxed {5}", "5"),
        (r"\boxed{6} and then \boxed{7", "6"),
        (r"{ \boxed{8} }", "8"),
        (r"} \boxed{9}", "9"),
        (r"\boxed{\boxed{10} or", "10"),
        (r"\boxed{", None),
        (r"\boxed{ }", None),
        ("Riga", None),
        ("", None),
        ("\\boxed{\\", None),
    ],
)
def test_extract_boxed(response, content):
    assert extract_boxed(response) == content


@given(st.text())
def test_extract_boxed_gives_back_what_was_put_in(text):
    balanced = text.replace("\\", "").replace("{", "").replace("}", "")

    assert extract_boxed(f"{balanced} \\boxed{{{balanced}}} {balanced}") == (balanced.strip() or None)


def test_extract_boxed_takes_time_linear_in_the_response():
    start = time.monotonic()

    assert extract_boxed(r"\boxed{" * 100_000) is None
    assert time.monotonic() - start < 5


@given(st.text())
def test_normalise_ignores_space_around(text):
    assert normalise(text) == normalise(f"  {text} ")


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("Riga", " riga. "),
        ("the Hague", "The  Hague"),
        ("“Oslo”", "oslo"),
        (r"\text{Oslo}", "Oslo"),
        ("$x$", "x"),
        ("(Oslo)", "Oslo"),
        ("**Oslo**", "Oslo"),
        ("5\\%", "5%"),
        ("１９９１", "1991"),
        ("Côte d’Ivoire", "co\u0302te d'ivoire"),
    ],
)
def test_strings_that_are_equal(verifier, a, b):
    assert is_right(verifier, b, free_form(a, "string"))


@pytest.mark.parametrize(
    ("a", "b"), [("Riga", "Oslo"), ("5", "-5"), ("5", "5%"), ("102", "10²"), ("Riga", "Riga, Latvia"), ("!", "?")]
)
def test_strings_that_differ(verifier, a, b):
    assert not is_right(verifier, b, free_form(a, "string"))


@pytest.mark.parametrize(
    "answer", ["Riga", "riga.", "C", "c", "(C)", "C.", "C. Riga", "(C) Riga", "C) riga", r"\text{C}", "Option C"]
)
def test_right_option(verifier, answer):
    assert is_right(verifier, answer, multiple_choice())


@pytest.mark.parametrize("answer", ["Oslo", "A", "C. Oslo", "A. Riga", "E", "J", "Riga or Oslo", "A, C", "ABCD"])
def test_wrong_option(verifier, answer):
    assert not is_right(verifier, answer, multiple_choice())


@pytest.mark.parametrize(
    ("answer", "options", "chosen"),
    [
        ("B", ("B", "C", "N", "O"), None),  # boron by its symbol, or carbon by its letter
        ("O", ("B", "C", "N", "O"), 3),
        ("A", ("A", "H", "N", "O"), 0),
        ("I", ("I", "H", "N", "O"), 0),
        ("cat", ("the cat", "cat", "dog", "cow"), None),
        ("A. Smith", ("B. Smith", "A. Smith", "C. Smith", "D. Smith"), 1),
        ("!", ("!", "?", ".", ","), None),
    ],
)
def test_an_answer_that_names_two_options_names_none(answer, options, chosen):
    assert choose(answer, options) == chosen


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("42", 42),
        ("-7", -7),
        ("−7", -7),
        ("+7", 7),
        ("1,234,567", 1234567),
        ("1 234", 1234),
        (r"1\,234", 1234),
        ("1{,}234", 1234),
        ("1234.00", 1234),
        ("$42$", 42),
        ("007", 7),
        ("42 km", None),
        ("1,23", None),
        ("4.2", None),
        ("10²", None),
        ("12 34", None),
        ("1991 200", None),
        ("", None),
        ("9" * 5000, None),
    ],
)
def test_parse_integer(text, value):
    assert parse_integer(text) == value


@given(st.integers())
def test_parse_integer_reads_what_is_written_with_separators(value):
    assert parse_integer(f"{value:,}") == parse_integer(f"{value}.0") == value


@pytest.mark.parametrize(
    ("text", "phrase", "found"),
    [
        ("Riga is the capital of Latvia.", "riga", True),
        ("It lies in\n  New   York.", "New York", True),
        ("Finland", "land", False),
        ("It costs 1500 euros", "15", False),
        ("He said “no”.", '"no"', True),
        ("Anything", "", False),
    ],
)
def test_contains_whole_words(text, phrase, found):
    assert contains(text, phrase) is found


@pytest.mark.parametrize(
    ("gold", "answer", "answer_type"),
    [
        ("12", r"\frac{24}{2}", "integer"),
        ("1024", "2^{10}", "integer"),
        ("12000", "12,000", "integer"),
        ("x^2+2x+1", "(x+1)^2", "expression"),
        (r"\frac{1}{2}", "0.5", "expression"),
        ("2x", r"\(2 x\)", "expression"),
        (r"$\{1,2\}$", r"\{2,1\}", "expression"),
    ],
)
def test_equal_by_value(verifier, gold, answer, answer_type):
    assert is_right(verifier, answer, free_form(gold, answer_type))


@pytest.mark.parametrize(
    ("gold", "answer", "answer_type"),
    [
        ("12", "12 apples", "integer"),
        ("12", r"12\text{ apples}", "integer"),
        ("12", "13", "integer"),
        ("x^2", "x^3", "expression"),
        ("2x", "2", "expression"),
        ("7", "$$", "expression"),
        ("7", "\n", "expression"),
        ("7", "7" * 3000, "expression"),
    ],
)
def test_unequal_by_value(verifier, gold, answer, answer_type):
    assert not is_right(verifier, answer, free_form(gold, answer_type))


HOSTILE = [
    "9^{9^{9^9}}",
    "9**9**9",
    "(10^{10})!",
    r"\sum_{k=1}^{10000000000} \frac{1}{k^3+k}",
    "(" * 1500,
    "{" * 700 + "}" * 700,
    '"]\n["7", "7',
    "\x00\ud800",
]


@pytest.mark.parametrize("answer", HOSTILE)
def test_hostile_expressions_are_wrong_soon_and_harm_nothing(verifier, answer):
    start = time.monotonic()

    assert not is_right(verifier, answer, free_form("7"))

    assert time.monotonic() - start < 15
    assert is_right(verifier, r"\frac{14}{2}", free_form("7"))


def test_running_out_of_processor_time_is_flagged(verifier):
    [verdict] = verifier.check([(r"\boxed{9^{9^{9^9}}}", free_form("7"))])

    assert verdict == Verdict(correct=False, extracted="9^{9^{9^9}}", timed_out=True)


def worker(code):
    return [sys.executable, "-c", f"import sys, time\nprint('\"ready\"', flush=True)\n{code}"]


def test_silent_worker_is_killed_in_time_and_replaced():
    """The first worker of this command goes to sleep at "hang"; a later one must answer."""
    code = "for line in sys.stdin:\n    time.sleep(600 * ('hang' in line))\n    print('true', flush=True)"
    with Verifier(timeout_s=0.05, worker=worker(code)) as verifier:
        start = time.monotonic()
        verdicts = verifier.check([(r"\boxed{hang}", free_form("7")), (r"\boxed{x}", free_form("7"))])
        elapsed = time.monotonic() - start

    assert [(v.correct, v.timed_out) for v in verdicts] == [(False, True), (True, False)]
    assert elapsed < 5


def test_dying_worker_is_replaced():
    code = "for line in sys.stdin:\n    sys.exit() if 'die' in line else print('true', flush=True)"
    with Verifier(worker=worker(code)) as verifier:
        verdicts = verifier.check([(r"\boxed{die}", free_form("7")), (r"\boxed{x}", free_form("7"))])

    assert [(v.correct, v.timed_out) for v in verdicts] == [(False, True), (True, False)]


def test_worker_sees_no_credentials(monkeypatch):
    monkeypatch.setenv("SPICE_S3_SECRET_KEY", "secret")
    code = "import os\nfor line in sys.stdin:\n    print(str('secret' not in os.environ.values()).lower(), flush=True)"
    with Verifier(worker=worker(code)) as verifier:
        [verdict] = verifier.check([(r"\boxed{x}", free_form("7"))])

    assert verdict.correct


def test_worker_has_a_memory_limit():
    with Verifier(memory_bytes=2**20) as verifier:
        [verdict] = verifier.check([(r"\boxed{(x+1)^2}", free_form("x^2+2x+1"))])

    assert not verdict.correct


def test_worker_ends_with_the_verifier(tmp_path):
    code = f"import os, pathlib\npathlib.Path({str(tmp_path / 'pid')!r}).write_text(str(os.getpid()))\n"
    with Verifier(worker=worker(code + "for line in sys.stdin:\n    print('true', flush=True)")) as verifier:
        verifier.check([(r"\boxed{x}", free_form("7"))])
        pid = int((tmp_path / "pid").read_text())
        os.kill(pid, 0)

    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_equal_answers_are_compared_once():
    code = "for number, line in enumerate(sys.stdin):\n    print('true' if number == 0 else 'false', flush=True)"
    with Verifier(worker=worker(code)) as verifier:
        verdicts = verifier.check([(r"\boxed{x}", free_form("7"))] * 3)

    assert [v.correct for v in verdicts] == [True] * 3


@pytest.mark.parametrize("code", ["print('\"no module named math_verify\"')", "sys.exit(1)"])
def test_worker_that_cannot_start_is_an_error_and_not_a_wrong_answer(code):
    command = [sys.executable, "-c", f"import sys\n{code}"]
    with (
        Verifier(worker=command) as verifier,
        pytest.raises(SpiceError, match="pip install"),
    ):
        verifier.check([(r"\boxed{x}", free_form("7"))])


def test_no_worker_is_started_for_plain_answers():
    with Verifier(worker=["/no/such/program"]) as verifier:
        verdicts = verifier.check(
            [
                (r"\boxed{B}", multiple_choice()),
                (r"\boxed{Riga}", free_form("riga", "string")),
                (r"\boxed{1,000}", free_form("1000", "integer")),
                (r"\boxed{x + y}", free_form("x + y")),
                ("no box", free_form("x + y")),
            ]
        )

    assert [v.correct for v in verdicts] == [False, True, True, True, False]
    assert verdicts[-1].extracted is None
