"""What an iteration is asked beside the game: for the record, and never learned from."""

from __future__ import annotations

from collections.abc import Sequence

from spice.selfplay.types import Oracle
from spice.training.play import Players
from spice.training.played import Grade, Played


def audit(played: Sequence[Played], players: Players, limit: int) -> None:
    """Let the policy answer some of the tasks that train the Reasoner with the document in sight."""
    audited = [one for one in played if one.trained and one.attempt.document.text][:limit]
    tasks = [(one.attempt.task, one.attempt.document) for one in audited if one.attempt.task]
    if tasks:
        for one, answers in zip(audited, players.audit(tasks), strict=True):
            one.audit = answers


def guess(played: Sequence[Played], players: Players, limit: int) -> None:
    """Let the policy answer some of the multiple-choice tasks without their question."""
    chosen = [
        (one, one.attempt.task) for one in played if one.trained and one.attempt.task and one.attempt.task.options
    ]
    if chosen := chosen[:limit]:
        for (one, _), answers in zip(chosen, players.guess([task for _, task in chosen]), strict=True):
            one.guess = answers


def ask_oracle(played: Sequence[Played], players: Players, oracle: Oracle) -> None:
    """Hold gold answers and the Reasoner's answers against the truth."""
    for one in played:
        truth = oracle(one.attempt.task) if one.attempt.task else None
        if truth is not None and one.attempt.task and one.answers:
            one.oracle = Grade(players.agree(one.attempt.task, truth), players.rejudge(one.answers, truth).correct)
