"""Ledger, release, requests and kill-switch as metrics. New ledger entries are verified at once, all of it at times."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

from spice.config import MonitoringConfig, PromotionConfig
from spice.errors import IntegrityError, RefusedError
from spice.monitoring.damage import Damage
from spice.monitoring.metrics import Family, Sample
from spice.promotion import approval, audit
from spice.promotion import request as requests
from spice.promotion.log import ReleaseLog
from spice.promotion.request import Request
from spice.store.base import ObjectStore
from spice.trust.keyring import Keyring
from spice.trust.ledger import Entry

FAMILIES = (
    Family("spice_ledger_verified", "Whether the last verification of the ledger found it whole."),
    Family("spice_ledger_problems", "Evidence that the ledger names and that is gone or changed, and stale pointers."),
    Family("spice_ledger_entries", "Length of the verified ledger."),
    Family("spice_ledger_actions_total", "Ledger entries by what was done.", ("action",), "counter"),
    Family("spice_ledger_verification_timestamp_seconds", "When the ledger was last read to its end and found whole."),
    Family("spice_ledger_audit_timestamp_seconds", "When the whole ledger was last verified from its first entry."),
    Family("spice_release_live", "Whether anything is live."),
    Family("spice_release_info", "The live checkpoint, by the first digits of its digest.", ("release",)),
    Family("spice_release_timestamp_seconds", "When what is live became so, by the ledger."),
    Family("spice_requests_pending", "Release requests that nobody has decided and that can still be granted."),
    Family("spice_request_oldest_timestamp_seconds", "When the oldest of them was made."),
    Family("spice_approvals_pending", "Approvals that these requests lack."),
    Family("spice_switch_engaged", "Whether the kill-switch is engaged; what cannot be read counts as engaged."),
    Family("spice_switch_readable", "Whether switch and ledger could be read."),
    Family(
        "spice_drill_duration_seconds", "How long the last drill took to stop answers, 99th percentile of its trials."
    ),
    Family("spice_drill_timestamp_seconds", "When the last drill ended."),
)

_DIGITS = 12
_CHANGES = {"release", "rollback", "kill.engage"}  # what may change what is live
_log = logging.getLogger(__name__)


class Governance:
    """Follows the ledger of a store."""

    def __init__(
        self, store: ObjectStore, promotion: PromotionConfig, monitoring: MonitoringConfig, damage: Damage
    ) -> None:
        self._store, self._promotion, self._monitoring, self._damage = store, promotion, monitoring, damage
        self._release_log: ReleaseLog | None = None
        self._tally = _Tally()
        self._requests: dict[str, Request] = {}
        self._whole = False
        self._problems = 0
        self._tried_at = self._audited_at = self._read_at = 0.0
        self._pending: list[str] = []
        self._missing = 0
        self._live: str | None = None
        self.lose_sight()

    @property
    def keyring(self) -> Keyring | None:
        """Whose signatures count, by the ledger; `None` while the ledger is not whole."""
        return self._release_log.keyring if self._whole and self._release_log else None

    def lose_sight(self) -> None:
        """Nothing can be read: the switch counts as engaged."""
        self._engaged, self._readable = True, False

    def refresh(self, now: float) -> None:
        """Read new entries, and verify everything if that is due. Raises `StoreError` if the store fails."""
        pause = self._monitoring.verify_seconds if self._whole else self._monitoring.discovery_seconds
        try:
            if now - self._tried_at >= pause:
                self._tried_at = now
                self._audit(now)
            elif not self._whole:
                return
            log = self._catch_up()
            self._whole, self._read_at = True, now
            self._look_up(log, now)
        except (IntegrityError, RefusedError) as error:
            _log.error("%s", error)
            self._whole = False
            self.lose_sight()

    def samples(self) -> Iterator[Sample]:
        """The metrics, as of the last refresh."""
        yield Sample("spice_ledger_verified", self._whole)
        yield Sample("spice_ledger_problems", self._problems)
        yield Sample("spice_ledger_entries", self._tally.actions.total())
        for action, count in sorted(self._tally.actions.items()):
            yield Sample("spice_ledger_actions_total", count, {"action": action})
        if self._read_at:
            yield Sample("spice_ledger_verification_timestamp_seconds", self._read_at)
        if self._audited_at:
            yield Sample("spice_ledger_audit_timestamp_seconds", self._audited_at)
        yield Sample("spice_switch_engaged", self._engaged)
        yield Sample("spice_switch_readable", self._readable)
        yield Sample("spice_release_live", self._live is not None)
        if self._live is not None:
            yield Sample("spice_release_info", 1, {"release": self._live.rpartition("/")[2][:_DIGITS]})
        if self._tally.changed_at:
            yield Sample("spice_release_timestamp_seconds", self._tally.changed_at)
        yield Sample("spice_requests_pending", len(self._pending))
        yield Sample("spice_approvals_pending", self._missing)
        if self._pending:
            oldest = min(self._tally.requested_at[ref] for ref in self._pending)
            yield Sample("spice_request_oldest_timestamp_seconds", oldest)
        if self._tally.drilled_at:
            yield Sample("spice_drill_timestamp_seconds", self._tally.drilled_at)
        if self._tally.drill_seconds is not None:
            yield Sample("spice_drill_duration_seconds", self._tally.drill_seconds)

    def _audit(self, now: float) -> None:
        """Verify from the first entry, against what was read before."""
        found = audit.verify(self._store)
        log = self._catch_up()
        if log.length == found.entries and log.head != found.head:
            self._release_log = None
            raise IntegrityError(f"The ledger in {self._store.url} is not the one that was there before.")
        self._problems = len(found.problems)
        self._audited_at = now

    def _catch_up(self) -> ReleaseLog:
        if self._release_log is None:
            self._tally = _Tally()
            self._release_log = ReleaseLog(self._store, self._tally.add)
        else:
            self._release_log.catch_up()
        return self._release_log

    def _look_up(self, log: ReleaseLog, now: float) -> None:
        self._engaged, self._readable = log.engaged(), True
        releases = log.effective()
        self._live = releases[-1] if releases else None
        self._pending, self._missing = [], 0
        for ref in sorted(log.state.requested - log.state.used.keys()):
            wanted = self._request(log, ref)
            if wanted is None or not _open(log, wanted):
                continue
            hours, moment = self._promotion.approval_hours, datetime.fromtimestamp(now, UTC)
            given = approval.count(log, ref, wanted, hours, moment)
            self._pending.append(ref)
            self._missing += max(0, self._promotion.approvals - len(given.approvers))

    def _request(self, log: ReleaseLog, ref: str) -> Request | None:
        if ref not in self._requests:
            wanted = self._damage.guard("request", f"{ref}.json", partial(requests.load, log, ref))
            if wanted is None:
                return None
            self._requests[ref] = wanted
        return self._requests[ref]


@dataclass
class _Tally:
    """What verified entries add up to, besides the state that the release log keeps. Times are since the epoch."""

    actions: Counter[str] = field(default_factory=Counter)
    requested_at: dict[str, float] = field(default_factory=dict)
    live: str | None = None
    changed_at: float = 0.0
    drilled_at: float = 0.0
    drill_seconds: float | None = None

    def add(self, entry: Entry) -> None:
        moment = datetime.fromisoformat(entry.time).timestamp()
        self.actions[entry.action] += 1
        if entry.action == "request":
            self.requested_at.setdefault(entry.subject, moment)
        elif entry.action in _CHANGES and entry.body["live"] != self.live:
            self.live, self.changed_at = entry.body["live"], moment
        elif entry.action == "drill.end":
            seconds = entry.body.get("seconds")
            if isinstance(seconds, int | float):  # else it was broken off before anything was measured
                self.drilled_at, self.drill_seconds = moment, float(seconds)


def _open(log: ReleaseLog, wanted: Request) -> bool:
    """Whether the request can still be granted: not turned down, not revoked, and not overtaken by a release."""
    try:
        requests.refuse_hopeless(log, wanted)
    except RefusedError:
        return False
    return log.state.live == wanted.replaces
