"""What may be served: the ledger's word, the kill-switch, and a drill if there is one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from spice.errors import IntegrityError
from spice.promotion import switchflag
from spice.promotion.log import ReleaseLog
from spice.promotion.state import after_engaging
from spice.serving import drillflag
from spice.serving.apikeys import KeyBook
from spice.store.base import ObjectStore
from spice.trust.keyring import Keyring
from spice.trust.ledger import Clock


@dataclass(frozen=True)
class Permit:
    """What may be served at one moment.

    Attributes:
        releases: good releases, oldest first; the last one is live.
        good: all that was released and not revoked since; what one of them has begun to answer may be answered.
        engaged: whether the switch, or a drill, is on.
        resting: out for a short time only, as far as is known, and so to be kept at hand.
    """

    releases: tuple[str, ...] = ()
    good: frozenset[str] = frozenset()
    engaged: bool = False
    resting: frozenset[str] = frozenset()

    @property
    def live(self) -> str | None:
        """What answers."""
        return self.releases[-1] if self.releases else None

    def without_live(self) -> Permit:
        """What remains once the live release is out, before it is known for how long."""
        out = frozenset(self.releases[-1:])
        return Permit(after_engaging(self.releases), self.good - out, engaged=True, resting=self.resting | out)

    def suspended(self) -> Permit:
        """Nothing at all, until more is known."""
        return Permit(resting=self.resting | frozenset(self.releases))


class PermitReader:
    """Reads what may be served from a store. For one thread at a time.

    Args:
        store: where ledger, switch and drill lie.
        clock: tells when a drill is over.

    Attributes:
        keys: the API keys, as far as the ledger has been read.
    """

    def __init__(self, store: ObjectStore, clock: Clock) -> None:
        self.keys = KeyBook()
        self._store = store
        self._clock = clock
        self._log: ReleaseLog | None = None

    def read(self) -> Permit:
        """Take in new entries and say what may be served.

        Raises:
            IntegrityError: the ledger is not what was written. The next reading begins at its first entry.
            RefusedError: keys cannot be trusted.
            StoreError: the store cannot be read.
        """
        try:
            if self._log is None:
                self._log = ReleaseLog(self._store, self.keys.observe)
            else:
                self._log.catch_up()
        except IntegrityError:
            self._log = None
            raise
        found = switchflag.read(self._store)
        state, pending = self._log.state, self._log.unrecorded(found)
        permit = Permit(state.releases, frozenset(state.good), engaged=found.engaged or state.engaged)
        if pending:
            permit = Permit(after_engaging(permit.releases), permit.good - {state.live or ""}, engaged=True)
        return permit.without_live() if self._drill(self._clock()) else permit

    def _drill(self, now: datetime) -> bool:
        return self._log is not None and drillflag.active(self._store, self._log.keyring, now)


def tripped(store: ObjectStore, keyring: Keyring, now: datetime) -> bool:
    """Whether switch or drill say stop, without a look at the ledger. Raises `StoreError`."""
    return switchflag.read(store).engaged or drillflag.active(store, keyring, now)
