r"""The ladder: worked arithmetic modulo 10 in one token per symbol, for models of a million parameters.

A document is a start digit and ten operations, each with its result. The
Challenger copies the document as far as it likes; what it asks is the result of
the last operation that it copied, so its one choice is how far to go. The
Reasoner sees start and operations only, and works them out one by one:

    document    7 x+3 0 3x+2 2 ...            (ten operations)
    Challenger  7 x+3 0 3x+2 2                asks 7 x+3 3x+2, gold answer 2
    Reasoner    0 2 \boxed{2}

Models of this size learn to look back by a fixed distance long before they learn
to search. So a question is filled up to ten places and ends with its start digit:
every result then follows the digit that its operation is applied to, and stands as
far from that operation, however long the question is.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from spice.selfplay.types import NO_DOCUMENT, Document, Task

STEPS = 10
KINDS = ("x", "3x", "7x", "9x", "x^3", "3x^3")
OPERANDS = 8
OPERATIONS = tuple(f"{kind}+{operand}" for kind in KINDS for operand in range(OPERANDS))
DIGITS = tuple("0123456789")
BOXES = tuple(f"\\boxed{{{digit}}}" for digit in DIGITS)
EMPTY = "."
POSE, INVENT, SOLVE, READ, WRITE = "pose", "invent", "solve", "read", "write"
WORDS = (*DIGITS, *OPERATIONS, *BOXES, EMPTY, POSE, INVENT, SOLVE, READ, WRITE)
# One question in five is kept for the test. The first two operations decide, so that a document and all that can be
# asked about it fall on the same side; a single operation is too little to keep back.
RESERVED_SHARE = 0.2
_RESERVED_BELOW = int(RESERVED_SHARE * 2**32)
_OPERATION_SET, _DIGIT_SET = frozenset(OPERATIONS), frozenset(DIGITS)

Message = dict[str, str]


@dataclass(frozen=True)
class Computation:
    """A start digit, and operations with their results.

    Attributes:
        start: a digit.
        operations: of `OPERATIONS`, at most `STEPS`.
        results: a digit after each operation, right or wrong.
    """

    start: str
    operations: tuple[str, ...]
    results: tuple[str, ...]

    @property
    def text(self) -> str:
        """All of it, as a document has it."""
        pairs = (f"{operation} {result}" for operation, result in zip(self.operations, self.results, strict=True))
        return " ".join((self.start, *pairs))

    @property
    def question(self) -> str:
        """The start and the operations alone."""
        return " ".join((self.start, *self.operations))


def challenger_messages(document: Document) -> list[Message]:
    """Ask for a worked computation: a part of the document, or one of the Challenger's own if it has none."""
    return [_message(INVENT if document == NO_DOCUMENT else f"{POSE} {document.text} {WRITE}")]


def reasoner_messages(task: Task, document: str | None = None) -> list[Message]:
    """Ask for the result of the task's computation; `document` is shown by the gold audit only."""
    start, *operations = task.question.split()
    if document is None:
        return [_message(" ".join((SOLVE, *_filled(operations), start)))]
    # The same stride as the document's, so that both stand at fixed distances from the answer.
    spread = " ".join(f"{operation} {EMPTY}" for operation in _filled(operations))
    return [_message(f"{READ} {document} {SOLVE} {spread} {start}")]


def parse(text: str, document: Document) -> Task | str:
    """Read what the Challenger wrote.

    Args:
        text: a worked computation, if it is in order.
        document: what the Challenger read.

    Returns:
        The task, or why there is none. Questions that are kept for the test are refused, unless the document itself
        is one of those kept.
    """
    computation = parse_computation(text)
    if isinstance(computation, str):
        return computation
    if is_reserved(computation.question) and not is_reserved(_question_of(document.text)):
        return "the question is kept for the test"
    return Task("free_form", computation.question, computation.results[-1], "integer", evidence=(computation.text,))


def parse_computation(text: str) -> Computation | str:
    """Read a worked computation of one to `STEPS` operations, or say what is wrong with it."""
    start, *rest = text.split() or [""]
    operations, results = tuple(rest[::2]), tuple(rest[1::2])
    if start not in _DIGIT_SET:
        return "does not begin with a digit"
    if not 1 <= len(operations) <= STEPS:
        return f"has {len(operations)} operations, not 1 to {STEPS}"
    if len(results) != len(operations) or not _DIGIT_SET.issuperset(results):
        return "an operation has no digit for its result"
    if not _OPERATION_SET.issuperset(operations):
        return "something stands where an operation should be"
    return Computation(start, operations, results)


def is_reserved(question: str) -> bool:
    """Whether a question is kept for the test and must not be met in training."""
    head = question.split()[:3]
    code = int.from_bytes(hashlib.sha256(" ".join(head).encode()).digest()[:4], "big")
    return len(head) == 3 and code < _RESERVED_BELOW


def _filled(operations: list[str]) -> list[str]:
    return operations + [EMPTY] * (STEPS - len(operations))


def _question_of(document: str) -> str:
    return " ".join(document.split()[:1] + document.split()[1::2])


def _message(content: str) -> Message:
    return {"role": "user", "content": content}
