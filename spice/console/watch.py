"""The console's view of the ledger: verified again and again, cheaply where it is long.

New entries are taken in at every look. The whole ledger is replayed from its first entry as well, because a change to
an entry that was read before shows only then; how often depends on how long that takes, so that a ledger of any length
costs a twentieth of a core at most. Actions do not rely on this view: `spice.promotion` verifies anew for each.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from spice.errors import RefusedError, StoreError
from spice.promotion import switchflag
from spice.promotion.log import ReleaseLog
from spice.promotion.switch import SwitchStatus
from spice.store.base import ObjectStore
from spice.trust.ledger import Clock, Entry

_SHARE = 20  # a full replay at most every so many times what the last one took
_SECONDS = 2.0  # and at most this often


@dataclass(frozen=True)
class Snapshot:
    """What one look found.

    Attributes:
        log: the release log, or `None` if it cannot be trusted or read.
        entries: the verified entries, oldest first; where `log` is `None`, those before the trouble.
        switch: the kill-switch; engaged wherever anything about it cannot be read.
        verified: when the whole ledger was last replayed, or tried to be.
        problem: what is wrong, or "".
    """

    log: ReleaseLog | None
    entries: Sequence[Entry]
    switch: SwitchStatus
    verified: datetime
    problem: str = ""

    def trusted(self) -> ReleaseLog:
        """The release log. Raises `RefusedError` if it cannot be trusted or read."""
        if self.log is None:
            raise RefusedError(f"The ledger cannot be trusted, so nothing is decided on it: {self.problem}")
        return self.log


class Watch:
    """Looks at a store's ledger and switch; safe to use from several threads.

    Args:
        store: whose ledger.
        clock: the time of day, to say when it was verified.
        stopwatch: seconds from anywhere, to find out how long a replay takes.
    """

    def __init__(self, store: ObjectStore, clock: Clock, stopwatch: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._stopwatch = stopwatch
        self._lock = threading.Lock()
        self._log: ReleaseLog | None = None
        self._entries: list[Entry] = []
        self._verified = clock()
        self._due = float("-inf")
        self._problem = ""

    def look(self, *, afresh: bool = False) -> Snapshot:
        """Take in what is new, and replay the whole ledger if that is due or asked for."""
        with self._lock:
            try:
                if afresh or self._stopwatch() >= self._due:
                    self._replay()
                elif self._log is not None:
                    self._log.catch_up()
            except (StoreError, RefusedError) as error:
                self._log, self._problem = None, str(error)
            return Snapshot(self._log, tuple(self._entries), self._switch(), self._verified, self._problem)

    def _replay(self) -> None:
        began = self._stopwatch()
        self._log, self._problem, self._entries, self._verified = None, "", [], self._clock()
        try:
            self._log = ReleaseLog(self._store, self._entries.append)
        finally:
            ended = self._stopwatch()
            self._due = ended + max(_SECONDS, _SHARE * (ended - began))

    def _switch(self) -> SwitchStatus:
        by = reason = ""
        try:
            flag = switchflag.read(self._store).flag
            by, reason = (flag.by, flag.reason) if flag else ("", "")
            if self._log is None:
                return SwitchStatus(True, by, reason, problem=self._problem)
            good = self._log.effective()
            live = good[-1] if good else None
            return SwitchStatus(self._log.engaged(), by, reason, self._log.state.consents, live)
        except StoreError as error:
            return SwitchStatus(True, by, reason, problem=str(error))
