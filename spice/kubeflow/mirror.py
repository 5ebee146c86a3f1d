"""The kill-switch's state on a board in Kubernetes, where its admission policies can read it.

The store decides; this only tells the API server. What cannot be read counts as engaged, and a mirror that stops says
so, so that no training starts on the word of a mirror that is not there. One that is killed cannot say anything:
therefore training asks the store itself as well.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from spice.errors import ClusterError, RefusedError, StoreError
from spice.promotion import switchflag
from spice.promotion.log import ReleaseLog
from spice.store import ObjectStore

_LOG = logging.getLogger(__name__)
# Somebody may have changed the board; it is written again after so many looks even if nothing happened.
_LOOKS_BETWEEN_WRITES = 30
_MOST_CHARACTERS = 400


class Board(Protocol):
    """Where the mirror writes."""

    def write(self, state: Mapping[str, str]) -> None:
        """Replace what it says: `engaged` (true, false, unknown), `by` and `reason`. Raises `ClusterError`."""
        ...


@dataclass
class Mirror:
    """Keeps a board equal to the switch of a store.

    Args:
        store: where the switch is.
        target: where its state goes.
    """

    store: ObjectStore
    target: Board
    _log: ReleaseLog | None = field(default=None, init=False)
    _written: Mapping[str, str] | None = field(default=None, init=False)
    _looks: int = field(default=0, init=False)

    def follow(self, wait: Callable[[], bool]) -> None:
        """Look and write until `wait`, called in between, returns True; then say that nobody looks any more."""
        while True:
            self.look()
            if wait():
                break
        self._write({"engaged": "unknown", "by": "", "reason": "the mirror was stopped"})

    def look(self) -> None:
        """Read the switch once and write what changed. An API server that fails is asked again next time."""
        state = self._state()
        self._looks += 1
        if state != self._written or self._looks >= _LOOKS_BETWEEN_WRITES:
            self._write(state)

    def _state(self) -> dict[str, str]:
        try:
            if self._log is None:
                self._log = ReleaseLog(self.store)
            else:
                self._log.catch_up()
            engaged = self._log.engaged()
            flag = switchflag.read(self.store).flag
        except (StoreError, RefusedError) as error:
            self._log = None
            return {"engaged": "unknown", "by": "", "reason": _line(f"it cannot be read: {error}")}
        if not engaged:
            return {"engaged": "false", "by": "", "reason": ""}
        return {
            "engaged": "true",
            "by": flag.by if flag else "",
            "reason": _line(flag.reason if flag else "no flag is left"),
        }

    def _write(self, state: Mapping[str, str]) -> None:
        try:
            self.target.write(state)
        except ClusterError as error:
            self._written = None
            _LOG.warning("%s", error)
            return
        if state != self._written:
            _LOG.warning("switch: engaged %s %s", state["engaged"], state["reason"])
        self._written, self._looks = state, 0


def _line(text: str) -> str:
    """On one line and not too long, as the API server wants the message of a refusal."""
    return " ".join(text.split())[:_MOST_CHARACTERS]
