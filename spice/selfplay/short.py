"""The short template, for models too small for the paper's JSON schema.

The Challenger writes one answer and one question, held to a grammar of its
document: one of the document's own spans, then a wh-question for that kind of
span. The answer comes first, because a small model can turn the sentence around
a span into a question far better than it can find the answer to a question that
it has made up. A still easier form is a sentence of the document with the span
left out: the Challenger then chooses what to ask and words nothing, and its gold
answers are right. Wrong options are drawn by code from other documents, because a small model's own are junk.
The grammar has no influence on what is learned from the tokens that it forces:
their log-probability is zero under the constrained distribution.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Sequence

from spice.config import RecipeConfig
from spice.selfplay.blanks import blanked_sentences
from spice.selfplay.types import NO_DOCUMENT, Document, Task, TaskFormat
from spice.text.spans import Kind, Span, SpanIndex, find_spans

_LINES = re.compile(
    r"\s*Answer: (?P<answer>[^\n]+)(?:\nOthers: (?P<others>[^\n]+))?\nQuestion: (?P<question>[^\n]+\?)\s*"
)
_FILL = 'What fills the blank in "{sentence}"?'
_INTEGER = re.compile(r"[+-]?\d{1,3}(?:,\d{3})+|[+-]?\d+")
# A question word goes with a kind of answer. Without this link a small model pairs "When" with a city.
# No opening may be the beginning of another one of its kind plus a space: the grammar's lexer is greedy.
_OPENINGS: dict[Kind, tuple[str, ...]] = {
    "date": ("When", "On what date", "In what month"),
    "year": ("When", "In what year", "In which year"),
    "number": ("How many", "How much", "How old", "What is the number", "What is the population"),
    "quantity": ("How many", "How much", "How long", "How high", "How large", "How old", "What is"),
    "name": ("Who", "Whose", "Where", "Which", "What", "In which"),
    "term": ("Which", "What", "How"),
}
_OTHER = "/[^\\n;<>]{1,30}/"
_BODY = '/ [^\\n?<>]{10,110}/ "?"'


def answer_spans(document: Document, index: SpanIndex) -> list[Span]:
    """The spans of a document that may be an answer, one per wording.

    Left out are single characters, the document's own title, which a question
    has to name, and what is common to many documents.
    """
    spans = {span.text.casefold(): span for span in find_spans(document.text) if 1 < len(span.text) <= 60}
    return [span for folded, span in spans.items() if folded != document.title.casefold() and not index.is_common(span)]


def grammar(document: Document, recipe: RecipeConfig, index: SpanIndex) -> str | None:
    """The Lark grammar of the Challenger's output for this document.

    Returns:
        The grammar, or `None` if the document offers no span to ask for.
    """
    if not recipe.span_answers:
        return f'start: "Answer:" / [^\\n]{{1,60}}/ "\\nQuestion:" / [A-Z]/ {_BODY}'
    spans = answer_spans(document, index)
    branches = []
    for kind in recipe.answer_kinds:
        answers = [span.text for span in spans if span.kind == kind]
        if answers and "wh" in recipe.question_forms:
            branches.append(f'{_either(answers)} "\\nQuestion: " {_either(_OPENINGS[kind])} {_BODY}')
        if "blank" in recipe.question_forms:
            branches += [
                json.dumps(f"{answer}\nQuestion: {fill_in(sentence)}", ensure_ascii=False)
                for answer, sentence in blanked_sentences(document, answers)
            ]
    return 'start: "Answer: " (' + " | ".join(branches) + ")" if branches else None


def fill_in(sentence: str) -> str:
    """The question that asks for what is left out of a sentence."""
    return _FILL.format(sentence=sentence)


def _either(texts: Sequence[str]) -> str:
    return "(" + " | ".join(json.dumps(text, ensure_ascii=False) for text in texts) + ")"


def ungrounded_grammar(task_format: TaskFormat) -> str:
    """The Lark grammar of the Challenger's output where it has no document, and so no spans.

    The wrong options of multiple choice are then the Challenger's own.
    """
    others = f' "\\nOthers: " {_OTHER} "; " {_OTHER} "; " {_OTHER}' if task_format == "multiple_choice" else ""
    return f'start: "Answer:" / [^\\n;<>]{{1,30}}/{others} "\\nQuestion:" / [A-Z]/ {_BODY}'


def parse(
    text: str, document: Document, task_format: TaskFormat, index: SpanIndex, rng: random.Random, place: int = 0
) -> Task | str:
    """Read the Challenger's output and, for multiple choice, add three wrong options.

    Args:
        text: what the Challenger wrote.
        document: what it read.
        task_format: what it was asked for.
        index: where wrong options come from.
        rng: draws them.
        place: where among the options the right one goes, counted from 0, modulo their number.

    Returns:
        The task, or why there is none. Never raises on what a model wrote.
    """
    match = _LINES.fullmatch(text)
    if match is None:
        return "not in the form of an answer line and a question line"
    question, answer = match["question"].strip(), match["answer"].strip()
    answer_type = "integer" if _INTEGER.fullmatch(answer) else "string"
    if task_format == "free_form":
        return Task("free_form", question, answer, answer_type)  # type: ignore[arg-type]
    if document == NO_DOCUMENT:
        others = [other.strip() for other in (match["others"] or "").split(";")]
        return _with_options(question, answer, others, place) if any(others) else "there are no wrong options"
    span = next((span for span in answer_spans(document, index) if span.text == answer), None)
    if span is None:
        return "the answer is not a span of the document"
    wrong = index.draw(span, document.id, document.text, 3, rng)
    if wrong is None:
        return "other documents offer no three wrong options of its kind"
    return _with_options(question, answer, wrong, place)


def _with_options(question: str, answer: str, wrong: Sequence[str], place: int) -> Task:
    place %= len(wrong) + 1
    return Task("multiple_choice", question, answer, "string", (*wrong[:place], answer, *wrong[place:]))
