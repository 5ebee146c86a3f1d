"""The verifier: does a response give the gold answer (paper section 3)?

Multiple choice goes by the option that the answer names, strings by normalised
equality, integers and expressions by value. Algebra is left to Math-Verify in a
process of its own (`spice.selfplay.comparer`), started only when it is needed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from spice.selfplay.answers import choose, extract_boxed, normalise, parse_integer
from spice.selfplay.comparer import Comparer
from spice.selfplay.executor import Executor
from spice.selfplay.programs import answers_program
from spice.selfplay.types import Task, Verdict

MAX_EXPRESSION_CHARS = 2000
_COMMAND = re.compile(r"\\(?!text|mathrm|mbox)[a-zA-Z]+")
_LETTERS = re.compile(r"[^\W\d_]")
_DELIMITERS = re.compile(r"^(?:\$+|\\\(|\\\[)|(?:\$+|\\\)|\\\])$")


class Verifier:
    """Judges responses; use it as a context manager, so that its worker process ends.

    A comparison that exceeds its time or memory counts as wrong and is flagged.
    """

    def __init__(
        self,
        timeout_s: float = 5.0,
        memory_bytes: int = 2 * 2**30,
        worker: Sequence[str] | None = None,
        executor: Executor | None = None,
    ):
        """Set the limits of one comparison.

        Args:
            timeout_s: processor seconds.
            memory_bytes: address space of the worker.
            worker: command of another worker process, see `Comparer`.
            executor: runs the programs of tasks that are about one; it is closed with this.
        """
        self._executor = executor or Executor()
        self._comparer = Comparer(timeout_s, memory_bytes, worker)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def check(self, pairs: Sequence[tuple[str, Task]]) -> list[Verdict]:
        r"""Judge responses, each against its own task.

        Args:
            pairs: (response, task); the answer is the response's last `\boxed{...}`.

        Returns:
            One verdict per pair, in order.

        Raises:
            SpiceError: an expression must be compared and Math-Verify is not installed.
            RefusedError: a program must be run and cannot be isolated here.
        """
        known: dict[tuple[str, Task], Verdict] = {}
        verdicts = []
        for response, task in pairs:
            answer = extract_boxed(response)
            if answer is None:
                verdicts.append(Verdict(correct=False))
                continue
            key = (answer, task)
            if key not in known:
                known[key] = self._judge(answer, task)
            verdicts.append(known[key])
        return verdicts

    def close(self) -> None:
        """End the worker processes that were started."""
        self._comparer.close()
        self._executor.close()

    def _judge(self, answer: str, task: Task) -> Verdict:
        if task.program:
            return Verdict(answers_program(task.program, answer, self._executor), answer)
        if task.format == "multiple_choice":
            choice = choose(answer, task.options)
            return Verdict(choice is not None and task.options[choice] == task.answer, answer)
        if task.answer_type == "string":
            return Verdict(normalise(answer) == normalise(task.answer) != "", answer)
        gold, given = parse_integer(task.answer), parse_integer(answer)
        if gold is not None and given is not None:
            return Verdict(gold == given, answer)
        if task.answer_type == "integer" and _has_words(answer):
            return Verdict(correct=False, extracted=answer)
        return self._compare(task.answer, answer)

    def _compare(self, gold: str, answer: str) -> Verdict:
        gold_math, answer_math = _bare(gold), _bare(answer)
        if gold_math == answer_math != "":
            return Verdict(correct=True, extracted=answer)
        if not gold_math or not answer_math or max(len(gold_math), len(answer_math)) > MAX_EXPRESSION_CHARS:
            return Verdict(correct=False, extracted=answer)
        equal = self._comparer.equal(gold_math, answer_math)
        return Verdict(correct=equal is True, extracted=answer, timed_out=equal is None)


def _has_words(answer: str) -> bool:
    """Say whether an answer holds letters outside LaTeX commands: units and prose are no integer."""
    return _LETTERS.search(_COMMAND.sub("", answer)) is not None


def _bare(expression: str) -> str:
    """Drop math delimiters and line breaks, which would end the expression early where it is parsed."""
    return " ".join(_DELIMITERS.sub("", expression.strip()).replace("$", "").split())
