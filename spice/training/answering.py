"""The Reasoner's answers to tasks, on a stream that tasks join one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import cast

from spice.rollout.base import Completion, Finished, Request, Stream
from spice.selfplay.types import Task
from spice.selfplay.verify import Verifier
from spice.training.outputs import Answers

Name = tuple[int, ...]
Ask = Callable[[Task, int, tuple[str | int, ...]], Request]
_KEY = "answer"


@dataclass
class _View:
    """A task as some of its group see it: one request and what came of it."""

    task: Task
    request: Request
    completions: list[Completion | None]


class Answering:
    """Collects each task's group of answers."""

    def __init__(self, ask: Ask, group: int, orders: int, share: bool) -> None:
        """Say how tasks are answered.

        Args:
            ask: the request for some answers, of a task, their number, and what the draw depends on.
            group: answers by task, G.
            orders: orders in which options are shown to the group.
            share: whether equal tasks share one group. What is drawn then depends on the task's words alone, so it
                does not matter which of the equal ones is known first.
        """
        self._ask, self._group, self._orders, self._share = ask, group, orders, share
        self._views: dict[Name, list[_View]] = {}
        self._first: dict[Task, Name] = {}

    def add(self, stream: Stream, name: Name, task: Task) -> None:
        """Ask for the answers to a task, which has a name that no other one has."""
        if self._share and self._first.setdefault(task, name) != name:
            return
        about: tuple[str | int, ...] = (repr(task),) if self._share else name
        self._views[name] = []
        for j, (view, n) in enumerate(_views(task, self._group, self._orders)):
            request = self._ask(view, n, (_KEY, *about, j))
            self._views[name].append(_View(view, request, [None] * n))
            stream.add((_KEY, name, j), request)

    def take(self, one: Finished) -> None:
        """Take in what the stream finished."""
        _, name, j = cast("tuple[str, Name, int]", one.key)
        self._views[name][j].completions[one.copy] = one.completion

    def judged(self, tasks: Sequence[tuple[Name, Task]], verifier: Verifier) -> list[Answers]:
        """The answers to tasks, all of which are in by now, with what the verifier says of them."""
        named = [self._first[task] if self._share else name for name, task in tasks]
        distinct = list(dict.fromkeys(named))
        views = [(name, view) for name in distinct for view in self._views[name]]
        written = [[one for one in view.completions if one is not None] for _, view in views]
        pairs = [(one.text, view.task) for (_, view), group in zip(views, written, strict=True) for one in group]
        verdicts = iter(verifier.check(pairs))
        found = {name: Answers([], [], [], [], self._views[name][0].request.seed) for name in distinct}
        for (name, view), group in zip(views, written, strict=True):
            answers = found[name]
            answers.prompts.extend([view.request.prompt] * len(group))
            answers.completions.extend(group)
            answers.verdicts.extend(next(verdicts) for _ in group)
            answers.shown.extend([view.task] * len(group))
        return [found[name] for name in named]


def _views(task: Task, group: int, orders: int) -> list[tuple[Task, int]]:
    """The orders in which a task's options are shown, and to how many of the group each.

    The first is the task's own; the others turn the options on. A policy that
    follows the place and not the content then meets the right answer in part of
    its group, whatever its habit, instead of always or never.
    """
    k = max(1, min(orders, len(task.options), group))
    turns = [j * len(task.options) // k for j in range(k)]
    shares = [group // k + (j < group % k) for j in range(k)]
    return [
        (replace(task, options=task.options[turn:] + task.options[:turn]), n)
        for turn, n in zip(turns, shares, strict=True)
    ]
