"""The record of an iteration: what was posed, what was answered, and what was made of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from spice.learner.base import UpdateStats
from spice.rollout.base import EngineStats
from spice.training.outputs import Answers, Attempt


@dataclass(frozen=True)
class Grade:
    """What an oracle says of a task.

    Attributes:
        gold_right: the gold answer is true.
        correct: which of the Reasoner's answers are true.
    """

    gold_right: bool
    correct: list[bool]


@dataclass
class Played:
    """A Challenger attempt and all that came of it.

    Attributes:
        attempt: what the Challenger wrote.
        reward: what it earned.
        answers: the Reasoner's answers, `None` if the attempt was invalid.
        trained: whether the Reasoner learns from these answers.
        answer_rewards: what each of the answers earned.
        audit: the policy's answer with the document, where it was audited.
        guess: the policy's answer from the options alone, where it was asked for one.
        oracle: an oracle's grade, where there is an oracle and it can tell.
    """

    attempt: Attempt
    reward: float = 0.0
    answers: Answers | None = None
    trained: bool = False
    answer_rewards: Sequence[float] = ()
    audit: Answers | None = None
    guess: Answers | None = None
    oracle: Grade | None = None


@dataclass(frozen=True)
class Outcome:
    """One iteration's record.

    Attributes:
        iteration: its number.
        played: everything that was posed and answered.
        skipped_documents: documents about which no valid task was posed.
        update: what the update did.
        seconds: by phase.
        challenger_share: the Challenger's share of the update's weight, `None` if one role learned alone.
        rollout: what the engines of this process did, the Challenger's own included.
    """

    iteration: int
    played: list[Played]
    skipped_documents: int
    update: UpdateStats
    seconds: dict[str, float]
    challenger_share: float | None = None
    rollout: EngineStats = field(default_factory=EngineStats)
