"""The ledger as a timeline, with whether it is what was written."""

from __future__ import annotations

from pydantic import ValidationError

from spice.console.records import LedgerEntry, LedgerPage, LedgerState, Release, Switch
from spice.console.watch import Snapshot
from spice.console.words import told
from spice.errors import NotFoundError
from spice.store.base import ObjectStore
from spice.store.canonical import digest
from spice.trust.ledger import Entry, timestamp
from spice.trust.signing import Signed

PAGE = 50


def page(seen: Snapshot, before: int | None = None, limit: int = PAGE) -> LedgerPage:
    """The `limit` entries before entry `before`, or the last ones, newest first."""
    end = len(seen.entries) if before is None else min(before, len(seen.entries))
    start = max(0, end - limit)
    chosen = tuple(entry(one) for one in reversed(seen.entries[start:end]))
    return LedgerPage(state=state(seen), entries=chosen, older=start or None)


def state(seen: Snapshot) -> LedgerState:
    """Whether the ledger was found sound."""
    return LedgerState(
        sound=seen.log is not None,
        entries=len(seen.entries),
        head=seen.log.head if seen.log else "",
        verified=timestamp(seen.verified),
        problem=seen.problem,
    )


def switch(seen: Snapshot) -> Switch:
    """The kill-switch."""
    found = seen.switch
    return Switch(
        engaged=found.engaged,
        by=found.by,
        reason=found.reason,
        consents=found.consents,
        live=found.live,
        problem=found.problem,
    )


def entry(one: Entry) -> LedgerEntry:
    """One entry with its sentence."""
    return LedgerEntry(
        sequence=one.sequence,
        time=one.time,
        actor=one.person,
        action=one.action,
        subject=one.subject,
        told=told(one),
        reason=str(one.body.get("reason") or ""),
        body=one.body,
    )


def history(store: ObjectStore, seen: Snapshot, subject: str) -> tuple[LedgerEntry, ...]:
    """The entries that concern a request, oldest first, with the reasons that approvers gave."""
    found = [one for one in seen.entries if subject in (one.subject, one.body.get("request"))]
    return tuple(entry(one).model_copy(update={"reason": _reason(store, one)}) for one in found)


def releases(seen: Snapshot, checkpoint: str | None = None) -> tuple[Release, ...]:
    """Every promotion, or those of one checkpoint, oldest first."""
    revoked = seen.log.state.revoked if seen.log else set()
    return tuple(
        Release(
            sequence=one.sequence,
            time=one.time,
            checkpoint=one.subject,
            request=str(one.body.get("request") or ""),
            evaluation=str(one.body.get("evaluation") or ""),
            requester=str(one.body.get("requester") or ""),
            approvers=tuple(map(str, one.body.get("approvers") or ())),
            releaser=one.person,
            revoked=one.subject in revoked,
        )
        for one in seen.entries
        if one.action == "release" and checkpoint in (None, one.subject)
    )


def _reason(store: ObjectStore, one: Entry) -> str:
    """Why, from the entry, or for an approval from the statement that the entry names by its digest."""
    key, expected = one.body.get("approval"), one.body.get("sha256")
    if key is None:
        return str(one.body.get("reason") or "")
    try:
        data = store.get(str(key))
        return str(Signed.model_validate_json(data).payload.get("reason") or "") if digest(data) == expected else ""
    except (NotFoundError, ValidationError):
        return ""  # the request's problems say that it is gone or changed
