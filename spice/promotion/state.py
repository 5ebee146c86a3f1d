"""What the ledger adds up to: the state of releases and of the kill-switch, as a fold over its entries.

`apply` also refuses entries that no honest writer makes - a release while the
switch is engaged, a switch released by one person, an actor without the role -
so replaying the ledger checks the rules as well as the signatures. The
pointers `release.json` and `switch.json` are derived from this state.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from spice.errors import IntegrityError, RefusedError
from spice.trust.keyring import PublicKey, Role, misused, principal_roles
from spice.trust.ledger import Entry

_DIGEST = re.compile(r"(?:[0-9a-f]{32}){1,2}")

_ROLE_FOR: dict[str, Role | None] = {
    "keys.add": "admin",
    "keys.rotate": None,  # an admin, or the owner: the ledger itself checks it
    "keys.revoke": None,
    "checkpoint.sign": "requester",
    "request": "requester",
    "approve": "approver",
    "reject": "approver",
    "release": "releaser",
    "rollback": "releaser",
    "kill.engage": "operator",
    "kill.consent": "operator",
    "kill.release": "operator",
    "drill.start": "operator",
    "drill.end": "operator",
    "apikeys.add": "admin",
    "apikeys.revoke": "admin",
    "corpus.erase": "admin",
    "corpus.readmit": "admin",
    "corpus.admit": "approver",
    "corpus.dismiss": "approver",
    "refused": None,
}


@dataclass
class State:
    """The state after the entries applied so far. Only `apply` changes it.

    Attributes:
        releases: good releases, oldest first; the last one is live.
        released: everything that was ever released.
        revoked: what the kill-switch took out; never live again.
        requested: references of all requests.
        approved: references of all approvals.
        used: requests that led to a release, with its entry.
        rejected: (candidate, evaluation) that an approver turned down, with who did.
        engaged: whether the switch is engaged.
        engagement: number of the latest engagement, 0 before the first.
        consents: operators who agreed to release the switch.
        entered: the ledger entry that first names a signed object, by the object's reference or key; so the object is
            at least that old.
        digests: SHA-256 of those objects whose key does not tell it.
        identities: what identity providers call the owner of a key -> name of the key.
        erased: subject of a decision to erase a document -> digests that must not be ingested again.
        admitted: digests of documents to which no screen applies.
        sequence: the last entry that changed what is live or the switch, or -1.
    """

    releases: tuple[str, ...] = ()
    released: set[str] = field(default_factory=set)
    revoked: set[str] = field(default_factory=set)
    requested: set[str] = field(default_factory=set)
    approved: set[str] = field(default_factory=set)
    used: dict[str, int] = field(default_factory=dict)
    rejected: dict[tuple[str, str], str] = field(default_factory=dict)
    engaged: bool = False
    engagement: int = 0
    consents: tuple[str, ...] = ()
    entered: dict[str, int] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    identities: dict[str, str] = field(default_factory=dict)
    erased: dict[str, tuple[str, ...]] = field(default_factory=dict)
    admitted: set[str] = field(default_factory=set)
    sequence: int = -1

    @property
    def live(self) -> str | None:
        """The checkpoint that may be served."""
        return self.releases[-1] if self.releases else None

    def person(self, name: str) -> str:
        """One name for one person: that of their key, if an identity is known to be its owner's."""
        return self.identities.get(name, name)

    @property
    def good(self) -> set[str]:
        """What a rollback may go to."""
        return self.released - self.revoked


def apply(state: State, entry: Entry, key_of: Callable[[str], PublicKey]) -> None:
    """Bring `state` up to `entry`.

    Raises:
        IntegrityError: the entry breaks a rule, so it was not written by this program.
    """
    if entry.action not in _ROLE_FOR:
        raise _broken(entry, f"has the unknown action {entry.action!r}; a newer version of SPICE may have written it")
    _check_actor(entry, key_of(entry.actor))
    if entry.action in _TRANSITIONS:
        try:
            _TRANSITIONS[entry.action](state, entry)
        except (KeyError, TypeError) as error:
            raise _broken(entry, f"has a body that is not one: {error}") from error
    if entry.action in _MOVES:
        state.sequence = entry.sequence
        if entry.body.get("live") != state.live:
            raise _broken(entry, f"says that {entry.body.get('live')} is live after it, but {state.live} is")


def after_release(releases: tuple[str, ...], checkpoint: str) -> tuple[str, ...]:
    """The good releases once `checkpoint` has become live."""
    return (*(r for r in releases if r != checkpoint), checkpoint)


def after_rollback(releases: tuple[str, ...], target: str | None) -> tuple[str, ...]:
    """The good releases once `target`, an earlier release, is live again; `None` leaves nothing live."""
    if target is None:
        return ()
    return (*(releases[: releases.index(target)] if target in releases else releases), target)


def after_engaging(releases: tuple[str, ...]) -> tuple[str, ...]:
    """The good releases once the switch has taken out the live one."""
    return releases[:-1]


def _check_actor(entry: Entry, key: PublicKey) -> None:
    role = _ROLE_FOR[entry.action]
    if role is not None and role not in key.roles:
        raise _broken(entry, f"was made by {entry.actor}, who lacks the role {role}")
    if "on_behalf_of" in entry.body or "delegate" in key.roles:
        try:
            problem = misused(key, principal_roles(entry.body), role)
        except RefusedError as error:
            problem = str(error)
        if problem:
            raise _broken(entry, f"was made by {entry.actor}, who {problem}")


def _add_key(state: State, entry: Entry) -> None:
    state.identities.update(dict.fromkeys(entry.body.get("identities", ()), entry.subject))


def _sign(state: State, entry: Entry) -> None:
    _enter(state, entry, str(entry.body["signature"]), str(entry.body["sha256"]))


def _request(state: State, entry: Entry) -> None:
    state.requested.add(entry.subject)
    _enter(state, entry, entry.subject)
    _enter(state, entry, str(entry.body["decision"]))
    if "signature" in entry.body:
        _sign(state, entry)


def _approve(state: State, entry: Entry) -> None:
    state.approved.add(str(entry.body["approval"]))
    _enter(state, entry, str(entry.body["approval"]), str(entry.body["sha256"]))


def _reject(state: State, entry: Entry) -> None:
    state.rejected[str(entry.body["candidate"]), str(entry.body["evaluation"])] = entry.person


def _enter(state: State, entry: Entry, key: str, digest: str | None = None) -> None:
    state.entered.setdefault(key, entry.sequence)
    if digest is not None:
        state.digests.setdefault(key, digest)


def _release(state: State, entry: Entry) -> None:
    request = str(entry.body["request"])
    _require(not state.engaged, entry, "releases something while the kill-switch is engaged")
    _require(entry.subject not in state.revoked, entry, "releases a revoked checkpoint")
    _require(request not in state.used, entry, "uses a request for the second time")
    state.releases = after_release(state.releases, entry.subject)
    state.released.add(entry.subject)
    state.used[request] = entry.sequence


def _rollback(state: State, entry: Entry) -> None:
    target = entry.body["live"]
    _require(target is None or target in state.good, entry, "goes back to no good release")
    state.releases = after_rollback(state.releases, target)


def _engage(state: State, entry: Entry) -> None:
    _require(not state.engaged, entry, "engages an engaged switch")
    _require(entry.body["engagement"] == state.engagement + 1, entry, "miscounts the engagements")
    if state.live is not None:
        state.revoked.add(state.live)
    state.releases = after_engaging(state.releases)
    state.engaged = True
    state.engagement += 1
    state.consents = ()


def _consent(state: State, entry: Entry) -> None:
    _require(state.engaged and entry.body["engagement"] == state.engagement, entry, "concerns no engaged switch")
    _require(not state.consents, entry, "is one consent too many: the second one releases the switch")
    state.consents = (state.person(entry.person),)


def _disengage(state: State, entry: Entry) -> None:
    _require(state.engaged and entry.body["engagement"] == state.engagement, entry, "concerns no engaged switch")
    _require(
        bool(set(state.consents) - {state.person(entry.person)}), entry, "releases the switch without a second operator"
    )
    state.engaged = False
    state.consents = ()


def _erase(state: State, entry: Entry) -> None:
    digests = (*map(str, entry.body["documents"]), *map(str, entry.body["words"]))
    _require(all(_DIGEST.fullmatch(digest) for digest in digests), entry, "names a document by no digest")
    state.erased[entry.subject] = digests


def _readmit(state: State, entry: Entry) -> None:
    _require(entry.subject in state.erased, entry, "lets a document back in that was not erased")
    del state.erased[entry.subject]


def _admit(state: State, entry: Entry) -> None:
    _require(bool(_DIGEST.fullmatch(entry.subject)), entry, "names a document by no digest")
    state.admitted.add(entry.subject)


def _dismiss(state: State, entry: Entry) -> None:
    _require(entry.subject in state.admitted, entry, "withdraws what was not admitted")
    state.admitted.remove(entry.subject)


_TRANSITIONS: dict[str, Callable[[State, Entry], None]] = {
    "keys.add": _add_key,
    "checkpoint.sign": _sign,
    "request": _request,
    "approve": _approve,
    "reject": _reject,
    "release": _release,
    "rollback": _rollback,
    "kill.engage": _engage,
    "kill.consent": _consent,
    "kill.release": _disengage,
    "corpus.erase": _erase,
    "corpus.readmit": _readmit,
    "corpus.admit": _admit,
    "corpus.dismiss": _dismiss,
}
_MOVES = {"release", "rollback", "kill.engage", "kill.consent", "kill.release"}  # each says what is live after it


def _require(holds: bool, entry: Entry, problem: str) -> None:
    if not holds:
        raise _broken(entry, problem)


def _broken(entry: Entry, problem: str) -> IntegrityError:
    return IntegrityError(
        f"Ledger entry {entry.sequence} ({entry.action}) {problem}. Nothing is released until it is explained."
    )
