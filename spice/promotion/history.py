"""What was live at a time, why, and by whose hands: read from the ledger alone.

Times are those of the actors' machines. The state at a time is what the entries
add up to before the first one that is dated later; entries that come after it
and claim an earlier time are told.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from spice.promotion.log import ReleaseLog
from spice.promotion.state import State, apply
from spice.store.base import ObjectStore
from spice.trust.ledger import Entry, timestamp


@dataclass(frozen=True)
class Release:
    """How something became releasable, as its release entry tells.

    Attributes:
        entry: number of the release entry.
        time: of the release.
        releaser: who promoted.
        requester: who asked.
        approvers: who approved.
        request: reference of the request.
        evaluation: reference of the evidence.
        decision: reference of the gate's signed decision.
        policy: SHA-256 of the gate's policy.
        replaced: what was live before.
    """

    entry: int
    time: str
    releaser: str
    requester: str
    approvers: tuple[str, ...]
    request: str
    evaluation: str
    decision: str
    policy: str
    replaced: str | None


@dataclass(frozen=True)
class Moment:
    """What held at a time.

    Attributes:
        time: the time asked about.
        entries: how many entries had been made.
        live: the checkpoint that was live, or `None`.
        since: the entry that made it live: action, who, when, why; `None` if nothing ever was.
        release: how the live checkpoint was released.
        engaged: whether the kill-switch was engaged.
        engaged_by: who engaged it, and why, or "".
        revoked: what the switch had taken out.
        late: numbers of later entries that claim an earlier time.
    """

    time: str
    entries: int
    live: str | None
    since: Entry | None
    release: Release | None
    engaged: bool
    engaged_by: str
    revoked: tuple[str, ...]
    late: tuple[int, ...]


def at(store: ObjectStore, moment: datetime) -> Moment:
    """What was live at `moment`, which needs a time zone, on which evidence, by whom.

    Raises:
        IntegrityError: the ledger is not what was written.
        StoreError: the ledger cannot be read.
    """
    limit = timestamp(moment)
    entries: list[Entry] = []
    log = ReleaseLog(store, entries.append)
    end = next((number for number, entry in enumerate(entries) if entry.time > limit), len(entries))
    state, since, releases, engaged_by = State(), None, {}, ""
    for entry in entries[:end]:
        before = state.live
        apply(state, entry, log.keyring.get)
        if entry.action == "release":
            releases[entry.subject] = _release(entry)
        if entry.action == "kill.engage":
            engaged_by = f"{entry.person}: {entry.body.get('reason', '')}"
        if state.live != before:
            since = entry
    return Moment(
        time=limit,
        entries=end,
        live=state.live,
        since=since,
        release=releases.get(state.live or ""),
        engaged=state.engaged,
        engaged_by=engaged_by if state.engaged else "",
        revoked=tuple(sorted(state.revoked)),
        late=tuple(entry.sequence for entry in entries[end:] if entry.time <= limit),
    )


def _release(entry: Entry) -> Release:
    body = entry.body
    return Release(
        entry=entry.sequence,
        time=entry.time,
        releaser=entry.person,
        requester=str(body.get("requester", "")),
        approvers=tuple(map(str, body.get("approvers", ()))),
        request=str(body["request"]),
        evaluation=str(body.get("evaluation", "")),
        decision=str(body.get("decision", "")),
        policy=str(body.get("policy", "")),
        replaced=body.get("replaces"),
    )
