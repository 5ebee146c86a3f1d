"""A stream for engines that can only continue a whole batch to its end."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

from spice.rollout.base import Completion, Finished, Request


class BatchStream:
    """Continues all that was added since its last step in one call; see `spice.rollout.base.Stream`."""

    def __init__(self, generate: Callable[[Sequence[Request]], list[list[Completion]]]) -> None:
        """Take the engine's own `generate`."""
        self._generate = generate
        self._waiting: dict[Hashable, Request] = {}

    def add(self, key: Hashable, request: Request) -> None:
        """Take in a request."""
        self._waiting[key] = request

    def drop(self, key: Hashable, first: int = 0) -> None:
        """Forget a request; a part of its copies only is not worth another batch, and is written all the same."""
        if first == 0:
            self._waiting.pop(key, None)

    def close(self) -> None:
        """Forget everything."""
        self._waiting.clear()

    def step(self) -> list[Finished]:
        """Continue everything to its end."""
        asked, self._waiting = self._waiting, {}
        written = zip(asked, self._generate(list(asked.values())), strict=True)
        return [Finished(key, copy, one) for key, group in written for copy, one in enumerate(group)]

    def __len__(self) -> int:
        """How many continuations wait."""
        return sum(request.n for request in self._waiting.values())
