"""Gold answers by vote: what most of the Reasoner's answers say (R-Zero, section 3.3)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from spice.selfplay.answers import choose, normalise, parse_integer
from spice.selfplay.types import Task


class Majority(NamedTuple):
    """The most frequent answer, in the words of the first who gave it, and its share of all votes, in (0, 1]."""

    answer: str
    share: float


def majority(extracted_G: Sequence[str | None], shown_G: Sequence[Task]) -> Majority | None:
    """Count votes.

    Options count by their text, integers by value, all else by normalised
    equality. Among equals the answer that was given first wins.

    Args:
        extracted_G: the answer found in each response, or `None`; that vote is lost but counts in the share.
        shown_G: the task as each response saw it.

    Returns:
        The majority, or `None` if no vote can be read.
    """
    votes = [_vote(answer, task) for answer, task in zip(extracted_G, shown_G, strict=True)]
    counts = Counter(key for key, _ in filter(None, votes))
    if not counts:
        return None
    key, most = counts.most_common(1)[0]
    answer = next(vote[1] for vote in votes if vote and vote[0] == key)
    return Majority(answer, most / len(votes))


def _vote(answer: str | None, task: Task) -> tuple[str | int, str] | None:
    """What a vote is counted as, and its wording."""
    if answer is None:
        return None
    if task.options:
        place = choose(answer, task.options)
        return None if place is None else (task.options[place], task.options[place])
    number = parse_integer(answer)
    key = normalise(answer)
    if number is not None:
        return number, answer
    return (key, answer) if key else None
