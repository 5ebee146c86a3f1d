"""Roll out the next iteration while the learner works on this one: one step off policy.

The engines then play with the weights of one update ago, and the learner
corrects for that by truncated importance sampling. Nothing is rolled out ahead
of a saved state, so that a run that is resumed there goes on as if it had never
been interrupted.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from spice.learner.base import UpdateStats
from spice.training.iteration import Clock, Rolled, outcome
from spice.training.played import Outcome


class Ahead:
    """Plays iterations in order, each while the one before is learned from."""

    def __init__(
        self,
        roll: Callable[[int], Rolled],
        learn: Callable[[Rolled], UpdateStats],
        publish: Callable[[Rolled], None],
        rest: Callable[[], None],
        clock: Clock,
    ) -> None:
        """Say how an iteration is played, learned from, and made known to the engines.

        Args:
            roll: plays an iteration, given its number; called in another thread.
            learn: updates the learners.
            publish: gives the engines the new weights; never called while `roll` runs.
            rest: lets the engines give back memory; called where nothing is played beside the update.
            clock: seconds.
        """
        self._roll, self._learn, self._publish, self._rest = roll, learn, publish, rest
        self._clock = clock
        self._next: Rolled | None = None

    def iterate(self, iteration: int, *, ahead: bool) -> Outcome:
        """Learn from an iteration, and play the next one meanwhile if `ahead` is set."""
        rolled = self._next or self._roll(iteration)
        self._next = None
        if not ahead:
            self._rest()
        start = self._clock()
        with ThreadPoolExecutor(1, thread_name_prefix="rollout") as pool:
            coming = pool.submit(self._roll, iteration + 1) if ahead else None
            update = self._learn(rolled)
            seconds = self._clock() - start
            self._next = coming.result() if coming else None
        self._publish(rolled)
        return outcome(rolled, update, seconds)
