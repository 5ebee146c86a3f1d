"""The nouns of self-play: what passes between Challenger, Reasoner and learner."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

TaskFormat = Literal["multiple_choice", "free_form"]
AnswerType = Literal["integer", "expression", "string"]
ProgramKind = Literal["deduction", "abduction", "induction"]
LETTERS = "ABCDEFGHIJ"


@dataclass(frozen=True)
class Document:
    """What the Challenger reads: one segment of a corpus document.

    Attributes:
        id: the segment's id in the dataset version.
        source: the file that it came from, relative to the ingested folder.
        text: the segment.
        title: the document's title, or "".
    """

    id: str
    source: str
    text: str
    title: str = ""


class Documents(Protocol):
    """Documents by position: a list, or what reads each one from disk when it is asked for."""

    def __len__(self) -> int: ...

    def __getitem__(self, position: int, /) -> Document: ...

    def __iter__(self) -> Iterator[Document]: ...


NO_DOCUMENT = Document(id="", source="", text="")
"""What a Challenger reads that works without a corpus."""


@dataclass(frozen=True)
class Program:
    """A function with what it was seen to do, as a task of Absolute Zero (section 3.2).

    Attributes:
        kind: what is asked for: the output (deduction), an input (abduction) or the program (induction).
        code: Python that defines `f`.
        inputs: arguments of each call, as literals.
        outputs: what it returned, as literals.
        shown: how many of the calls an induction task shows; the others test the answer.
        message: the Challenger's hint to the program, for induction.
    """

    kind: ProgramKind
    code: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    shown: int = 0
    message: str = ""


@dataclass(frozen=True)
class Task:
    """A question with its gold answer (paper section 3).

    Attributes:
        format: multiple choice or free form.
        question: the question alone, without options.
        answer: the gold answer; for multiple choice the text of the right option.
        answer_type: how a free-form answer is compared.
        options: the options in the order shown, empty for free form.
        evidence: quotes from the document.
        solution: the Challenger's own step-by-step solution, or "".
        difficulty: the Challenger's own estimate, or "".
        program: what answers are run against, if the question is about a program.
    """

    format: TaskFormat
    question: str
    answer: str
    answer_type: AnswerType = "string"
    options: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()
    solution: str = ""
    difficulty: str = ""
    program: Program | None = None

    @property
    def letter(self) -> str | None:
        """The letter of the right option, or `None` for free form."""
        return LETTERS[self.options.index(self.answer)] if self.options else None


@dataclass(frozen=True)
class Verdict:
    """What the verifier says of one response.

    Attributes:
        correct: the answer equals the gold answer.
        extracted: the answer as found in the response, or `None` if none was found.
        timed_out: comparison took too long, which counts as wrong.
    """

    correct: bool
    extracted: str | None = None
    timed_out: bool = False


Oracle = Callable[[Task], str | None]
"""Knows the true answer to a task's question, or says `None`. It measures; nothing is ever trained on it."""
