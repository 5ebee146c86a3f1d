"""What the roles write: the Challenger's attempts and the Reasoner's answers, as read and judged."""

from __future__ import annotations

from dataclasses import dataclass

from spice.rollout.base import Completion
from spice.selfplay.types import Document, Task, Verdict


@dataclass(frozen=True)
class Attempt:
    """One Challenger output about one document.

    Attributes:
        document: what it read; `NO_DOCUMENT` if it works without a corpus.
        prompt: the Challenger's prompt, token ids.
        completion: what it wrote; `None` if nobody wrote anything, because the task was given.
        task: the task, or `None` if invalid.
        reason: why it is invalid, or "".
        checks: every measured check by name; empty where nothing could be parsed.
        kind: of task that was asked for, where a recipe has several (Absolute Zero).
    """

    document: Document
    prompt: tuple[int, ...]
    completion: Completion | None
    task: Task | None
    reason: str
    checks: dict[str, bool]
    kind: str = ""


@dataclass(frozen=True)
class Answers:
    """The Reasoner's G answers to one task.

    Attributes:
        prompts: the Reasoner's prompts, token ids, one for each answer; they differ in the order of the options only.
        completions: what it wrote, G of them.
        verdicts: one each.
        shown: the task as each answer saw it, its options in that order.
        seed: of their draws. Equal tasks that share their answers have the same one, on whatever rank.
    """

    prompts: list[tuple[int, ...]]
    completions: list[Completion]
    verdicts: list[Verdict]
    shown: list[Task]
    seed: int

    @property
    def correct(self) -> list[bool]:
        """Which answers equal the gold answer."""
        return [verdict.correct for verdict in self.verdicts]
