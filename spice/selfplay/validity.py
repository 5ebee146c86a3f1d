"""Which tasks count (paper section 3).

The paper asks that a task be well-formed, and no more. The stricter checks are
measured on every task; a recipe may make any of them part of validity.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from spice.config import RecipeConfig
from spice.selfplay.answers import choose, contains, normalise, parse_integer
from spice.selfplay.types import NO_DOCUMENT, Document, Task

# A quote of fewer words stands in nearly every document and shows nothing.
MIN_QUOTE_WORDS = 4
_SOURCE = r"(?:text|passage|document|article|excerpt|extract|paragraph|section|author|writer|page|source|context)"
_REFERS_TO_SOURCE = re.compile(
    rf"\b(?:the|this|that|these|given|provided|above|following)\s+{_SOURCE}s?\b"
    r"|\b(?:mentioned|described|listed|stated|discussed|given|shown|quoted|provided)\s+(?:above|below|here|earlier)\b"
    r"|\bthe\s+(?:above|following)\b",
    re.IGNORECASE,
)
_QUOTED = re.compile(r"[\"“«]([^\"”»]{2,80})[\"”»]|(?<!\w)['‘]([^'’]{2,80})['’](?!\w)")
_NAME = re.compile(r"(?<![\w'’])[A-Z][\w'’-]*(?:\s+[A-Z][\w'’-]*)*|[0-9][0-9.,]*")
_OPENING = frozenset(
    "what which who whom whose when where why how in at on of the a an is are was were do does did can could if for by "
    "to from with name calculate compute find determine given suppose let among between during after before as".split()
)
_LONG_WORD = re.compile(r"[^\W\d_]{4,}")
_COMMAND = re.compile(r"\\[a-zA-Z]+|\b(?:sqrt|sinh|cosh|tanh|arcsin|arccos|arctan|floor|ceil|binom)\b")


class Validity(NamedTuple):
    """Whether a task counts, why not ("" if it does), and every check by name."""

    valid: bool
    reason: str
    checks: dict[str, bool]


def validity(task: Task, document: Document, recipe: RecipeConfig) -> Validity:
    """Check a task against the document it came from.

    Args:
        task: what the Challenger wrote, parsed.
        document: what it read. Without one there is nothing to be grounded in, and no subject that must be its own.
        recipe: says which of the stricter checks are required.

    Returns:
        The verdict with the checks `well_formed`, `grounded` (with a document), `standalone` and `unleaked`.
    """
    malformed = malformation(task)
    checks = {
        "well_formed": not malformed,
        **({} if document == NO_DOCUMENT else {"grounded": is_grounded(task, document)}),
        "standalone": is_standalone(task, document),
        # In the ladder's questions every digit occurs, and none of them says anything.
        "unleaked": recipe.template == "ladder" or is_unleaked(task),
    }
    reasons = [malformed] if malformed else []
    if recipe.require_grounded and not checks.get("grounded", True):
        reasons.append("neither the answer nor its evidence stands in the document")
    if recipe.require_standalone and not checks["standalone"]:
        reasons.append("the question does not stand alone")
    if recipe.require_unleaked and not checks["unleaked"]:
        reasons.append("the question contains the answer")
    return Validity(not reasons, reasons[0] if reasons else "", checks)


def malformation(task: Task) -> str:
    """Say what is wrong with a task's form, or "": the answer must be of the declared type, the options distinct."""
    if not normalise(task.question) or not normalise(task.answer):
        return "question or answer is empty"
    if task.format == "multiple_choice":
        return _options_fault(task)
    if task.answer_type == "integer" and parse_integer(task.answer) is None:
        return "the answer is not an integer"
    if task.answer_type == "expression" and not _is_expression(task.answer):
        return "the answer is not an expression"
    return ""


def is_grounded(task: Task, document: Document) -> bool:
    """Say whether the answer, or a quote given as evidence, stands in the document (case and white space aside)."""
    quotes = [quote for quote in task.evidence if len(quote.split()) >= MIN_QUOTE_WORDS]
    return any(contains(document.text, phrase) for phrase in (task.answer, *quotes))


def is_standalone(task: Task, document: Document) -> bool:
    """Say whether a question can be understood without its document.

    It must not refer to a text that its reader does not see, and must name its
    subject: a name, number or quoted term that the document or its title has.
    """
    if _REFERS_TO_SOURCE.search(task.question):
        return False
    if document == NO_DOCUMENT:
        return True
    return any(contains(f"{document.title}\n{document.text}", subject) for subject in _subjects(task.question))


def is_unleaked(task: Task) -> bool:
    """Say whether the question keeps the answer to itself. Options do not count as part of the question."""
    return not contains(task.question, task.answer)


def _options_fault(task: Task) -> str:
    if task.answer not in task.options or len(task.options) < 2:
        return "the answer is not one of the options"
    if any(choose(option, task.options) != position for position, option in enumerate(task.options)):
        return "the options cannot be told apart"
    return ""


def _subjects(question: str) -> list[str]:
    """The names, numbers and quoted terms of a question; a word that merely opens a sentence is no name."""
    subjects = [quoted for pair in _QUOTED.findall(question) for quoted in pair if quoted]
    for match in _NAME.finditer(question):
        words = match[0].rstrip(".,").split()
        while words and words[0].casefold() in _OPENING:
            words = words[1:]
        if words:
            subjects.append(" ".join(words))
    return subjects


def _is_expression(answer: str) -> bool:
    """Say whether an answer looks like mathematics: closed brackets and no words of prose."""
    balanced = all(answer.count(left) == answer.count(right) for left, right in ("()", "{}"))
    return balanced and not _LONG_WORD.search(_COMMAND.sub(" ", answer))
