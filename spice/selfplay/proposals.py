"""How the Challenger of Absolute Zero is asked for a program, and how its answer is read (appendix C of that paper).

The wording is ours. The full template is a JSON object; the short one is a line
of arithmetic under a grammar, so that a model that knows no Python can take part.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from spice.selfplay.types import Program, ProgramKind

Message = dict[str, str]
Template = Literal["full", "short"]

_RULES = """\
The function is called f. It computes its result from its arguments alone: no randomness, no clock, no files, no input.
Of the standard library it may import math, itertools, functools, collections, re, heapq, bisect and fractions.
It returns numbers, strings, None, or lists, tuples and dictionaries of these."""
_ASK = {
    "deduction": "Write a new Python function and one input, for which the output is hard but possible to work out.",
    "abduction": "Write a new Python function and one input, which is hard but possible to find from the output.",
    "induction": "Write {count} different inputs for this function, and a hint from which, together with some of the "
    "outputs, a good programmer can find the function. Do not give the function away.",
}
_SHORT_PROGRAM = re.compile(r"(?P<code>def f\(x\): return [^\n]+)\nInput: (?P<input>[^\n]+)")
_SHORT_INPUTS = re.compile(r"Inputs: (?P<inputs>[^\n]+)\nHint: (?P<hint>[^\n]+)")
_SHORT_PROGRAM_GRAMMAR = r"def f\(x\): return [x0-9]( (\+|-|\*|//|%) [x1-9]){1,3}\nInput: -?[0-9]{1,2}"


class Proposal(NamedTuple):
    """What was proposed, unrun."""

    code: str
    inputs: tuple[str, ...]
    message: str = ""


class ProgramOutput(BaseModel):
    """A function with one input."""

    model_config = ConfigDict(extra="forbid", strict=True)

    program: Annotated[str, Field(min_length=1, max_length=4000)]
    input: Annotated[str, Field(max_length=400)]


class InputsOutput(BaseModel):
    """Inputs for a function that is given, with a hint."""

    model_config = ConfigDict(extra="forbid", strict=True)

    inputs: Annotated[list[Annotated[str, Field(max_length=400)]], Field(min_length=2, max_length=20)]
    hint: Annotated[str, Field(min_length=1, max_length=400)]


def proposal_messages(
    kind: ProgramKind, references: Sequence[Program], template: Template, count: int
) -> list[Message]:
    """Ask for a program, or for inputs of one.

    Args:
        kind: of task that it is for.
        references: earlier programs to differ from; for induction the program itself, alone.
        template: of the recipe.
        count: inputs of an induction task.
    """
    ask = _ASK[kind].format(count=count)
    earlier = "\n\n".join(f"{program.code}\nInput: {program.inputs[0]}" for program in references)
    if template == "short":
        form = "Inputs: and Hint: lines" if kind == "induction" else "one line of code and an Input: line"
        return [{"role": "user", "content": f"{earlier}\n\n{ask} Reply in {form}."}]
    if kind == "induction":
        reply = '"inputs", a list of texts, each the arguments of one call, and "hint"'
    else:
        reply = '"program", the code, and "input", the arguments of one call as a text such as "[1, 2], \'abc\'"'
    parts = [earlier, ask, _RULES, f"Reply with one JSON object with the fields {reply}, and nothing else."]
    if kind != "induction":
        parts.insert(1, "Those are earlier ones; yours must be different in kind.")
    return [{"role": "user", "content": "\n\n".join(parts)}]


def proposal_grammar(
    kind: ProgramKind, template: Template, count: int
) -> tuple[Literal["json_schema", "regex"], object]:
    """What the reply must match: its kind, and a JSON schema or a regular expression."""
    if template == "full":
        return "json_schema", (InputsOutput if kind == "induction" else ProgramOutput).model_json_schema()
    if kind == "induction":
        return "regex", rf"Inputs: [0-9]{{1,2}}(; [0-9]{{1,2}}){{{count - 1}}}\nHint: [^\n<>]{{3,40}}"
    return "regex", _SHORT_PROGRAM_GRAMMAR


def parse_proposal(text: str, kind: ProgramKind, template: Template, given: Program) -> Proposal | str:
    """Read a reply.

    Args:
        text: what the model wrote.
        kind: of task that it was asked for.
        template: that it was asked in.
        given: the program that inputs were asked for, for induction.

    Returns:
        The proposal, or why there is none. Never raises on what a model wrote.
    """
    if template == "short":
        return _short(text, kind, given)
    try:
        if kind == "induction":
            inputs = InputsOutput.model_validate_json(text)
            return Proposal(given.code, tuple(inputs.inputs), inputs.hint)
        written = ProgramOutput.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(map(str, first['loc'])) or 'the whole'}: {first['msg']}"
    return Proposal(written.program, (written.input,))


def _short(text: str, kind: ProgramKind, given: Program) -> Proposal | str:
    if kind == "induction":
        match = _SHORT_INPUTS.fullmatch(text.strip())
        if match is None:
            return "not in the form of an inputs line and a hint line"
        return Proposal(given.code, tuple(part.strip() for part in match["inputs"].split(";")), match["hint"].strip())
    match = _SHORT_PROGRAM.fullmatch(text.strip())
    if match is None:
        return "not in the form of a program line and an input line"
    return Proposal(match["code"], (match["input"].strip(),))
