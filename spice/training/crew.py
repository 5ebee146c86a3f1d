"""The players of all ranks as if they were one: each plays its share, and everybody knows what came of it.

The draws of a share are those of its places in the whole, so what is played
does not depend on the number of ranks. What a clock or another process has a
say in (a comparison that may time out) is done by rank 0 alone and told.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar, overload

from spice.learner.ranks import Ranks
from spice.rollout.base import Completion, Grammar
from spice.selfplay.prompts import Message
from spice.selfplay.types import Document, Task
from spice.training import wire
from spice.training.answering import Name
from spice.training.iteration import Pose
from spice.training.outputs import Answers, Attempt
from spice.training.play import Players, Seeds

T = TypeVar("T")
_Proposal = tuple[tuple[int, ...], list[Completion]]
_Posed = tuple[Attempt, Answers | None]


def posed_by_first(pose: Pose, ranks: Ranks) -> Pose:
    """Let rank 0 alone pose an iteration's tasks, where programs that it runs have a say in them."""

    def told(players: Players, iteration: int, seeds: Seeds) -> list[list[Attempt]]:
        made = wire.encode(pose(own(players), iteration, seeds)) if ranks.first else b""
        return wire.decode(ranks.tell(made), list[list[Attempt]])  # type: ignore[no-any-return]

    return told


class Crew(Players):
    """`Players` of which each rank has a set; every call is made by all ranks alike."""

    def __init__(self, players: Players, ranks: Ranks) -> None:
        """Let this rank's `players` play with those of the other ranks."""
        self._players, self._ranks = players, ranks

    def challenge(
        self, documents: Sequence[Document], seeds: Seeds, places: Sequence[int] | None = None
    ) -> list[list[Attempt]]:
        """See `Players.challenge`."""
        places = self._players.places(len(documents), seeds) if places is None else places

        def play(share: Sequence[int]) -> list[list[Attempt]]:
            chosen = [documents[i] for i in share]
            return self._players.challenge(chosen, _of(seeds, share), [places[i] for i in share])

        return self._together(len(documents), play, list[list[Attempt]])

    def play(
        self,
        documents: Sequence[Document],
        seeds: Seeds,
        *,
        poser: Players | None = None,
        group: int | None = None,
        places: Sequence[int] | None = None,
        posed: Callable[[], None] = lambda: None,
    ) -> list[list[_Posed]]:
        """See `Players.play`."""
        places = self._players.places(len(documents), seeds) if places is None else places

        def play(share: Sequence[int]) -> list[list[_Posed]]:
            chosen, theirs = [documents[i] for i in share], [places[i] for i in share]
            return self._players.play(
                chosen, _of(seeds, share), poser=own(poser), group=group, places=theirs, posed=posed
            )

        return self._together(len(documents), play, list[list[_Posed]])

    def propose(
        self, messages: Sequence[Sequence[Message]], grammars: Sequence[Grammar | None], seeds: Seeds
    ) -> list[_Proposal]:
        """See `Players.propose`."""

        def play(share: Sequence[int]) -> list[_Proposal]:
            return self._players.propose([messages[i] for i in share], [grammars[i] for i in share], _of(seeds, share))

        return self._together(len(messages), play, list[_Proposal])

    def answer(
        self, tasks: Sequence[Task], seeds: Seeds, group: int | None = None, names: Sequence[Name] | None = None
    ) -> list[Answers]:
        """See `Players.answer`."""
        named = names or [(i,) for i in range(len(tasks))]

        def play(share: Sequence[int]) -> list[Answers]:
            return self._players.answer([tasks[i] for i in share], seeds, group, [named[i] for i in share])

        return self._together(len(tasks), play, list[Answers])

    def audit(self, tasks: Sequence[tuple[Task, Document]]) -> list[Answers]:
        """See `Players.audit`."""
        return self._together(len(tasks), lambda share: self._players.audit([tasks[i] for i in share]), list[Answers])

    def guess(self, tasks: Sequence[Task]) -> list[Answers]:
        """See `Players.guess`."""
        return self._together(len(tasks), lambda share: self._players.guess([tasks[i] for i in share]), list[Answers])

    def rejudge(self, answers: Answers, gold: str) -> Answers:
        """See `Players.rejudge`."""
        return self._once(lambda: self._players.rejudge(answers, gold), Answers)

    def agree(self, task: Task, answer: str) -> bool:
        """See `Players.agree`."""
        return self._once(lambda: self._players.agree(task, answer), bool)

    def _together(self, count: int, play: Callable[[Sequence[int]], list[T]], kind: Any) -> list[T]:
        """What `play` makes of all places, each rank of its share; in order of place, on every rank."""
        share = range(self._ranks.rank, count, self._ranks.size)
        parts = self._ranks.gather(wire.encode(play(share) if share else []))
        results: dict[int, T] = {}
        for rank, part in enumerate(parts):
            results |= zip(range(rank, count, self._ranks.size), wire.decode(part, kind), strict=True)
        return [results[place] for place in range(count)]

    def _once(self, work: Callable[[], T], kind: Any) -> T:
        """What rank 0 makes of it."""
        return wire.decode(self._ranks.tell(wire.encode(work()) if self._ranks.first else b""), kind)  # type: ignore[no-any-return]


@overload
def own(players: Players) -> Players: ...
@overload
def own(players: None) -> None: ...
def own(players: Players | None) -> Players | None:
    """This rank's part of a crew; players that are none are returned as they are."""
    return players._players if isinstance(players, Crew) else players


def _of(seeds: Seeds, share: Sequence[int]) -> Seeds:
    """Seeds for which the i-th of a share is the place that it has in the whole."""

    def derive(name: str | int, *numbers: str | int) -> int:
        if not numbers or not isinstance(numbers[0], int):
            return seeds(name, *numbers)
        return seeds(name, share[numbers[0]], *numbers[1:])

    return derive
