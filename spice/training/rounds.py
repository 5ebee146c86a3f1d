"""When to ask for another attempt at a document, and when to stop (paper section 3).

Attempts at a document count in the order of their numbers, not in the order in
which they end: those until G are there and one is valid, at most N. They are
asked for in rounds of G that run side by side. What a round has beyond the last
one that counts is given up, so the outcome does not depend on the rounds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar, cast

from spice.rollout.base import Completion, Finished, Request, Stream

T = TypeVar("T")
_KEY = "attempt"


@dataclass(frozen=True)
class Counted(Generic[T]):
    """A valid attempt that is known to count.

    Attributes:
        document: the number of its document.
        place: its place among the attempts that are kept of the document.
        attempt: what was read.
    """

    document: int
    place: int
    attempt: T


@dataclass
class _Document(Generic[T]):
    asked: int = 0
    made: dict[int, T] = field(default_factory=dict)
    counting: int | None = None  # how many attempts count, once that is known


class Rounds(Generic[T]):
    """The attempts at some documents, on a stream that others may share."""

    def __init__(
        self,
        documents: Sequence[int],
        ask: Callable[[int, int, int], Request],
        read: Callable[[int, int, Completion], T],
        is_valid: Callable[[T], bool],
        group: int,
        most: int,
    ) -> None:
        """Say how attempts are made.

        Args:
            documents: their numbers.
            ask: the request for further attempts, of a document's number, how many were asked for before, and how
                many are wanted.
            read: makes an attempt of a document's number, its own number, and what was written.
            is_valid: whether an attempt is a task.
            group: G, at least 1.
            most: N, at least 1.
        """
        self._ask, self._read, self._is_valid = ask, read, is_valid
        self._group, self._most = group, most
        self._documents: dict[int, _Document[T]] = {number: _Document() for number in documents}

    def begin(self, stream: Stream) -> None:
        """Ask for the first round of each document."""
        for number in self._documents:
            self._next_round(stream, number)

    def take(self, stream: Stream, one: Finished) -> list[Counted[T]]:
        """Take in what the stream finished, and ask for more or give up what is not needed.

        Returns:
            Valid attempts of which it is known from now on that they count.
        """
        _, number, before = cast("tuple[str, int, int]", one.key)
        document, place = self._documents[number], before + one.copy
        if document.counting is not None:
            return []
        document.made[place] = attempt = self._read(number, place, one.completion)
        first = min(self._group, self._most)
        valid = [at for at, made in document.made.items() if self._is_valid(made)]
        needed = max(first, min(valid) + 1) if valid else self._most
        if valid and needed < document.asked:
            stream.drop(one.key, max(0, needed - before))
        done = next((at for at in range(needed) if at not in document.made), needed)
        counted: list[Counted[T]] = []
        if place < first and self._is_valid(attempt):
            # One of the first G is valid, so these are the ones that count, whatever becomes of the others.
            counted.append(Counted(number, place, attempt))
        if done == needed:
            document.counting = needed
            if needed > first and valid:
                counted.append(Counted(number, self._group - 1, document.made[needed - 1]))
        elif done == document.asked:
            self._next_round(stream, number)
        return counted

    @property
    def over(self) -> bool:
        """Whether every document has the attempts that count."""
        return all(document.counting is not None for document in self._documents.values())

    def counting(self, number: int) -> list[T]:
        """The attempts of a document that count, in order; none if it is not one of these."""
        document = self._documents.get(number, _Document())
        return [document.made[place] for place in range(document.counting or 0)]

    def _next_round(self, stream: Stream, number: int) -> None:
        document = self._documents[number]
        wanted = min(self._group, self._most - document.asked)
        stream.add((_KEY, number, document.asked), self._ask(number, document.asked, wanted))
        document.asked += wanted


def is_attempt(one: Finished) -> bool:
    """Whether it was some rounds that asked for this."""
    return isinstance(one.key, tuple) and one.key[0] == _KEY
