"""The Challenger's full output: one JSON object, constrained while it is decoded and validated after.

Validation is needed all the same: a cut-off ends the object early, and not
every engine can enforce lengths.
"""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from spice.selfplay.answers import choose
from spice.selfplay.types import LETTERS, AnswerType, Task, TaskFormat

# Lengths are in characters; together they stay below 2,000 tokens of English, half of the default limit.
Quote = Annotated[str, Field(min_length=1, max_length=400)]
Quotes = Annotated[list[Quote], Field(min_length=1, max_length=4)]
Question = Annotated[str, Field(min_length=10, max_length=800)]
Answer = Annotated[str, Field(min_length=1, max_length=200)]
Solution = Annotated[str, Field(min_length=1, max_length=2000)]
Difficulty = Literal["easy", "medium", "hard"]


class _Output(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Grounded(_Output):
    evidence: Quotes


class UngroundedMultipleChoice(_Output):
    """A question with four options, made up without a document."""

    question: Question
    options: Annotated[list[Answer], Field(min_length=4, max_length=4)]
    solution: Solution
    letter: Literal["A", "B", "C", "D"]
    answer: Answer
    answer_type: Literal["string"]
    difficulty: Difficulty


class UngroundedFreeForm(_Output):
    """A question whose answer is an integer, an expression or a string, made up without a document."""

    question: Question
    solution: Solution
    answer: Answer
    answer_type: AnswerType
    difficulty: Difficulty


class MultipleChoiceOutput(UngroundedMultipleChoice, _Grounded):
    """A question with four options. The fields stand in the order in which they are best thought of."""


class FreeFormOutput(UngroundedFreeForm, _Grounded):
    """A question whose answer is an integer, an expression or a string."""


def challenger_schema(task_format: TaskFormat, grounded: bool = True) -> dict[str, Any]:
    """The JSON schema of the Challenger's output in this format, for constrained decoding.

    Without a document (`grounded` false) it has no evidence.
    """
    return _model(task_format, grounded).model_json_schema()


def parse_full(text: str, task_format: TaskFormat, grounded: bool = True) -> Task | str:
    """Read the Challenger's output.

    Text around the object (a code fence, a remark) is passed over.

    Args:
        text: what the model wrote.
        task_format: the format that it was asked for.
        grounded: whether it had a document, and so must quote it.

    Returns:
        The task, or why there is none. Never raises on what a model wrote.
    """
    start = text.find("{")
    if start < 0:
        return "no JSON object"
    try:
        value, _ = json.JSONDecoder().raw_decode(text, start)
    except (ValueError, RecursionError):
        return "JSON cut off or malformed"
    try:
        output = _model(task_format, grounded).model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    evidence = tuple(output.evidence) if isinstance(output, _Grounded) else ()
    if isinstance(output, UngroundedMultipleChoice):
        return _multiple_choice(output, evidence)
    return _free_form(output, evidence)


def _model(task_format: TaskFormat, grounded: bool) -> type[UngroundedMultipleChoice] | type[UngroundedFreeForm]:
    if task_format == "multiple_choice":
        return MultipleChoiceOutput if grounded else UngroundedMultipleChoice
    return FreeFormOutput if grounded else UngroundedFreeForm


def _multiple_choice(output: UngroundedMultipleChoice, evidence: tuple[str, ...]) -> Task | str:
    options = _without_letters(output.options)
    right = LETTERS.index(output.letter)
    if choose(output.answer, options) != right:
        return "letter and answer do not name the same option"
    return Task(
        format="multiple_choice",
        question=output.question.strip(),
        answer=options[right],
        options=tuple(options),
        evidence=evidence,
        solution=output.solution.strip(),
        difficulty=output.difficulty,
    )


def _free_form(output: UngroundedFreeForm, evidence: tuple[str, ...]) -> Task:
    return Task(
        format="free_form",
        question=output.question.strip(),
        answer=output.answer.strip(),
        answer_type=output.answer_type,
        evidence=evidence,
        solution=output.solution.strip(),
        difficulty=output.difficulty,
    )


def _without_letters(options: list[str]) -> list[str]:
    """Drop "A. ", "(B) " and the like, if every option carries its own letter: the prompt adds them."""
    bare = [
        match[1]
        for letter, option in zip(LETTERS, options, strict=False)
        if (match := re.fullmatch(rf"\s*(?:\({letter}\)|{letter}[.:)])\s*(\S.*)", option, re.DOTALL))
    ]
    return [option.strip() for option in (bare if len(bare) == len(options) else options)]
