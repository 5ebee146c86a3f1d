"""Absolute Zero's tasks: programs, their inputs and outputs, each to be worked out from the other two (section 3.2)."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

from spice.selfplay.executor import Executor
from spice.selfplay.types import Program, ProgramKind, Task

KINDS: tuple[ProgramKind, ...] = ("deduction", "abduction", "induction")
SEED = Program("deduction", "def f(x): return x", ("1",), ("1",))
"""What there is before anything was proposed: the identity, as in the paper."""
_INTEGER = re.compile(r"0|-?[1-9][0-9]*")
_IDENTITY = "def f(*values): return values[0] if len(values) == 1 else values"


class ProgramArchive:
    """The programs that were proposed so far, newest last; its content depends on what was added and nothing else."""

    def __init__(self, capacity: int = 4096) -> None:
        """Begin with the identity function.

        Args:
            capacity: programs remembered; beyond it the oldest are forgotten.
        """
        self._programs = [SEED]
        self._capacity = capacity

    def __len__(self) -> int:
        return len(self._programs)

    def add(self, programs: Sequence[Program]) -> None:
        """Remember programs, in order."""
        self._programs = [*self._programs, *programs][-self._capacity :]

    def draw(self, count: int, rng: random.Random) -> list[Program]:
        """Draw different programs, or all if there are no more than `count`."""
        return rng.sample(self._programs, min(count, len(self._programs)))


def observe(
    kind: ProgramKind, code: str, inputs: Sequence[str], executor: Executor, message: str = ""
) -> Program | str:
    """Run a proposed program on its inputs.

    Returns:
        The program with its outputs, or why it makes no task.
    """
    run = executor.run(code, inputs)
    if run.error:
        return f"the program cannot be used: {run.error}"
    # Half of the calls are shown; the other half tells a program from a table of what was shown (section 3.2).
    shown = len(inputs) // 2 if kind == "induction" else 0
    return Program(kind, code, tuple(inputs), run.outputs, shown, message)


def program_task(program: Program) -> Task:
    """The question about a program. What is asked for is not in it."""
    match program.kind:
        case "deduction":
            question = f"{program.code}\n\nWhat does f({program.inputs[0]}) return? Answer with a Python literal."
            answer = program.outputs[0]
        case "abduction":
            question = (
                f"{program.code}\n\nWith which arguments does f return {program.outputs[0]}? "
                "Answer with Python literals, separated by commas."
            )
            answer = program.inputs[0]
        case "induction":
            calls = zip(program.inputs[: program.shown], program.outputs, strict=False)
            lines = "\n".join(f"f({given}) returns {returned}" for given, returned in calls)
            hint = f"{program.message}\n" if program.message else ""
            question = f"{hint}{lines}\n\nWrite the Python function f. Answer with its code."
            answer = program.code
    return Task("free_form", question, answer, program=program)


def answers_program(program: Program, answer: str, executor: Executor) -> bool:
    """Say whether an answer does what it should when it is run.

    Any input that gives the output is a right answer to an abduction task, and
    any program that agrees on the calls that were not shown to an induction task.
    """
    match program.kind:
        case "deduction":
            gold = program.outputs[0]
            # A wrong whole number need not be read by a process of its own.
            if answer == gold or (_INTEGER.fullmatch(answer) and _INTEGER.fullmatch(gold)):
                return answer == gold
            return executor.run(_IDENTITY, [answer]).outputs == program.outputs
        case "abduction":
            return answer == program.inputs[0] or executor.run(program.code, [answer]).outputs == program.outputs
        case "induction":
            hidden = program.inputs[program.shown :]
            return executor.run(answer, hidden).outputs == program.outputs[program.shown :]
