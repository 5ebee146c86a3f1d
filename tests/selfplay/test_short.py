"""The short template: what its grammar lets a model write, and what is read from it."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spice.config import RecipeConfig
from spice.selfplay.short import answer_spans, grammar, parse
from spice.selfplay.types import Document, Task
from spice.text.spans import SpanIndex

RECIPE = RecipeConfig(template="short", span_answers=True)
FACTS = [
    "On 5 July 1962 it got its own flag. In 1963 Ben Bella built the iron bridge, 31 m high. It has 48 wilayas.",
    "On 1 June 1905 it got its own anthem. In 1814 Carl Berg built the stone church, 70 m high. It has 15 counties.",
    "On 9 May 1821 it got its own stamps. In 1879 Ana Soto built the glass market, 12 m high. It has 25 regions.",
    "On 2 March 1949 it got its own seal. In 1911 Li Wei built the wooden temple, 55 m high. It has 23 provinces.",
]
DOCUMENTS = [Document(f"d{i}", f"d{i}.md", text) for i, text in enumerate(FACTS)]
INDEX = SpanIndex((document.id, document.text) for document in DOCUMENTS)
OPENINGS = ("When", "Who", "How many", "How large", "Which", "What is")


class Writer:
    """Tells whether a grammar lets a text be written, and writes at random under it, byte by byte."""

    def __init__(self):
        llguidance = pytest.importorskip("llguidance")
        self._guidance = llguidance
        self._tokenizer = llguidance.LLTokenizer("byte")

    def matcher(self, text):
        matcher = self._guidance.LLMatcher(self._tokenizer, self._guidance.LLMatcher.grammar_from_lark(text))
        assert not matcher.is_error(), matcher.get_error()
        return matcher

    def accepts(self, grammar_text, output):
        matcher = self.matcher(grammar_text)
        tokens = self._tokenizer.tokenize_str(output)
        return matcher.try_consume_tokens(tokens) == len(tokens) and matcher.is_accepting()

    def write(self, grammar_text, rng):
        matcher, written = self.matcher(grammar_text), []
        while not matcher.is_stopped():
            bits = matcher.compute_bitmask()
            open_ = [t for t in range(256) if bits[t // 8] >> t % 8 & 1]
            if not open_ or (matcher.is_accepting() and rng.random() < 0.3):
                break
            token = rng.choice(open_)
            matcher.consume_token(token)
            written.append(token)
        return bytes(written).decode()


@pytest.fixture(scope="module")
def writer():
    return Writer()


def written(opening, answer, rest=" of the things it has?"):
    return f"Answer: {answer}\nQuestion: {opening}{rest}"


@pytest.mark.parametrize(
    ("kind", "fitting", "unfitting"),
    [
        ("date", ["When"], ["Who", "Where", "How many"]),
        ("year", ["When", "In what year"], ["Who", "Where", "How many"]),
        ("number", ["How many", "How much"], ["When", "Who", "In what year"]),
        ("quantity", ["How many", "How large", "How high"], ["When", "Who", "In what year"]),
        ("name", ["Who", "Where", "Which", "What"], ["When", "In what year", "How many"]),
        ("term", ["Which", "What"], ["When", "Who", "Where"]),
    ],
)
def test_a_question_word_goes_with_the_kind_of_answer(writer, kind, fitting, unfitting):
    """Without this a small model asks "When" for a city."""
    document = DOCUMENTS[0]
    rules = grammar(document, RECIPE, INDEX)
    answers = [span.text for span in answer_spans(document, INDEX) if span.kind == kind]
    assert answers
    for answer in answers:
        assert all(writer.accepts(rules, written(opening, answer)) for opening in fitting), answer
        assert not any(writer.accepts(rules, written(opening, answer)) for opening in unfitting), answer


@pytest.mark.parametrize(
    "output",
    [
        written("Who", "Carl Berg"),  # of another document
        written("Who", "Ben"),
        written("Who", "Ben Bella."),
        written("Who", "Ben Bella", " of the things it has"),
        written("Who", "Ben Bella").replace("\n", " "),
        written("Who", "Ben Bella", "?"),
        written("Who", "Ben Bella", " <|im_end|> of the things?"),
        written("Who", "Ben Bella", " of the things? And what else?"),
        written("Tell me", "Ben Bella"),
    ],
)
def test_the_grammar_forbids(writer, output):
    rules = grammar(DOCUMENTS[0], RECIPE, INDEX)
    assert writer.accepts(rules, written("Who", "Ben Bella"))
    assert not writer.accepts(rules, output)


@pytest.mark.parametrize("text", ["", "a b c", "It is so. They are not.", "x"])
def test_a_document_with_nothing_to_ask_has_no_grammar(text):
    assert grammar(Document("e", "e.md", text), RECIPE, INDEX) is None


TOKENS = [
    "São Tomé", 'the "Old" Bridge', "$\n5", "£ 7 million", "1962", "iron ore", "O'Neill", "U.S.", "C:\\Temp", "Ünal",
    "\n", ". ", "5\u00a0km", "2\u2028km", "12 km", "\t", "|", "/re/", "%lark", "\u00dc\u0301x",
]  # fmt: skip


hostile_documents = (
    st.lists(st.sampled_from(TOKENS), min_size=1, max_size=12)
    .map(" ".join)
    .map(lambda text: Document("e", "e.md", text))
    .filter(lambda document: answer_spans(document, INDEX))
)


@given(hostile_documents)
@settings(deadline=None)
def test_every_answer_that_the_grammar_offers_is_written_and_read_as_it_stands(document):
    writer = Writer()
    rules = grammar(document, RECIPE, INDEX)
    for span in answer_spans(document, INDEX):
        output = next(o for o in (written(opening, span.text) for opening in OPENINGS) if writer.accepts(rules, o))
        task = parse(output, document, "free_form", INDEX, random.Random(0))
        assert isinstance(task, Task) and task.answer == span.text


@given(hostile_documents, st.booleans(), st.integers())
@settings(max_examples=60, deadline=None)
def test_whatever_is_written_under_the_grammar_is_read(document, span_answers, seed):
    rules = grammar(document, RECIPE.model_copy(update={"span_answers": span_answers}), INDEX)
    output = Writer().write(rules, random.Random(seed))
    task = parse(output, document, "free_form", INDEX, random.Random(0))
    assert isinstance(task, Task), (output, task)
    answer, question = re.fullmatch(r"Answer: ([^\n]+)\nQuestion: ([^\n]+)", output).groups()
    assert (task.question, task.answer) == (question.strip(), answer.strip())


@given(st.sampled_from(DOCUMENTS), st.integers())
@settings(deadline=None)
def test_options_are_distinct_and_hold_one_answer_of_the_document(document, seed):
    rng = random.Random(seed)
    span = rng.choice([s for s in answer_spans(document, INDEX) if s.kind != "term"])
    task = parse(written("What", span.text), document, "multiple_choice", INDEX, rng)
    assert isinstance(task, Task)
    assert len(set(task.options)) == 4
    assert [option for option in task.options if option in document.text] == [task.answer] == [span.text]
    assert task.format == "multiple_choice"


@pytest.mark.parametrize(("place", "letter"), [(0, "A"), (1, "B"), (3, "D"), (4, "A"), (7, "D")])
def test_the_answer_goes_where_it_is_told_to(place, letter):
    output = written("In what year", "1963")
    for seed in range(5):
        task = parse(output, DOCUMENTS[0], "multiple_choice", INDEX, random.Random(seed), place)
        assert (task.letter, task.answer) == (letter, "1963")


def test_neither_the_title_nor_a_term_of_every_document_is_asked_for():
    index = SpanIndex((name, f"It has its {name} and its capital.") for name in ("iron", "gold", "lead", "zinc"))
    document = Document("p", "p.md", "Near Peru it has its capital, and tin, and Chile.", "Peru")
    assert [span.text for span in answer_spans(document, index)] == ["tin", "Chile"]


@pytest.mark.parametrize(
    ("answer", "answer_type"),
    [
        ("48", "integer"),
        ("-7", "integer"),
        ("1,250", "integer"),
        ("12,50", "string"),
        ("31 m", "string"),
        ("Ben", "string"),
    ],
)
def test_whole_numbers_are_compared_by_value(answer, answer_type):
    assert parse(written("What", answer), DOCUMENTS[0], "free_form", INDEX, random.Random(0)).answer_type == answer_type


@pytest.mark.parametrize(
    ("output", "documents", "reason"),
    [
        ("Answer: 48", DOCUMENTS, "not in the form"),
        ("Answer: 48\nQuestion:", DOCUMENTS, "not in the form"),
        ("Answer:\nQuestion: Who?", DOCUMENTS, "not in the form"),
        ("Answer: 48\nAnswer: 31 m\nQuestion: How many?", DOCUMENTS, "not in the form"),
        (written("Who", "Ben Bella") + "\nIgnore that.", DOCUMENTS, "not in the form"),
        (written("Who", "Ben Bella", " of the thi"), DOCUMENTS, "not in the form"),  # cut off
        (written("Who", "Carl Berg"), DOCUMENTS, "not a span"),
        (written("Who", "Ben Bella"), DOCUMENTS[:2], "no three wrong options"),
    ],
)
def test_why_there_is_no_task(output, documents, reason):
    index = SpanIndex((document.id, document.text) for document in documents)
    assert reason in parse(output, DOCUMENTS[0], "multiple_choice", index, random.Random(0))


@given(
    st.text()
    | st.lists(st.sampled_from(["Answer: ", "\nQuestion: ", "?", "1963", " ", "\n", "\x00", "\u2028"])).map("".join),
    st.sampled_from(["multiple_choice", "free_form"]),
)
@settings(deadline=None)
def test_hostile_text_never_raises(text, task_format):
    assert isinstance(parse(text, DOCUMENTS[0], task_format, INDEX, random.Random(0)), (Task, str))
