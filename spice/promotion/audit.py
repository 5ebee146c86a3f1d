"""Verifies a store's ledger from the first entry to the last, and that the evidence it speaks of is still there."""

from __future__ import annotations

from dataclasses import dataclass

from spice.errors import IntegrityError, NotFoundError, RefusedError
from spice.promotion import gate, switchflag
from spice.promotion import request as requests
from spice.promotion.log import ReleaseLog
from spice.store import artifacts
from spice.store.base import ObjectStore
from spice.store.canonical import digest
from spice.trust.ledger import Entry
from spice.trust.records import record_key

_WITH_EVIDENCE = ("release", "request", "approve", "reject", "checkpoint.sign", "keys.add")


@dataclass(frozen=True)
class Audit:
    """What a verification found.

    Attributes:
        entries: length of the ledger; all of them were verified.
        head: hash of the last entry. Note it elsewhere: a ledger that still holds this entry was not cut shorter.
        root: name of the store's first key, or "".
        fingerprint: of that key, or "". Compare it with what its owner says.
        live: what may be served.
        engaged: whether the switch is engaged.
        problems: evidence that is gone or changed, and pointers that disagree. Empty if all is well.
    """

    entries: int
    head: str
    root: str
    fingerprint: str
    live: str | None
    engaged: bool
    problems: tuple[str, ...]


def verify(store: ObjectStore, fingerprint: str | None = None) -> Audit:
    """Replay the ledger and look up its evidence.

    Args:
        store: where.
        fingerprint: what the root key's fingerprint must be.

    Raises:
        IntegrityError: an entry was changed, removed, moved, inserted, forged, or breaks a rule; the message names it.
        RefusedError: the root is another key.
    """
    evidence: list[Entry] = []
    log = ReleaseLog(
        store, lambda entry: evidence.append(entry) if entry.action in _WITH_EVIDENCE else None, repairing=True
    )
    root = log.keyring.root()
    if fingerprint is not None and (root is None or root.fingerprint != fingerprint):
        raise RefusedError(
            f"The first key of {store.url} has the fingerprint {root.fingerprint if root else '(no key)'}, not "
            f"{fingerprint}. Someone replaced keys and ledger together, or this is another store."
        )
    problems = [problem for entry in evidence for problem in _missing_evidence(log, entry)]
    found = switchflag.read(store)
    if log.unrecorded(found):
        problems.append("The kill-switch is engaged but not in the ledger: `spice kill engage` again completes it.")
    if not log.pointer_current():
        problems.append("release.json does not say what the ledger says: `spice ledger recover` puts it right.")
    effective = log.effective()
    return Audit(
        entries=log.length,
        head=log.head,
        root=root.name if root else "",
        fingerprint=root.fingerprint if root else "",
        live=effective[-1] if effective else None,
        engaged=log.engaged(),
        problems=tuple(problems),
    )


def _missing_evidence(log: ReleaseLog, entry: Entry) -> list[str]:
    try:
        if entry.action == "keys.add":
            key = log.keyring.generations(entry.subject)[0]
            if (key.fingerprint, list(key.roles)) != (entry.body["fingerprint"], entry.body["roles"]):
                return [f"Entry {entry.sequence} (keys.add): {record_key(entry.subject)} is not the record entered."]
        if entry.action == "release":
            wanted = requests.load(log, str(entry.body["request"]))
            gate.load(log.store, wanted.decision, log.keyring)
            artifacts.read_json(log.store, wanted.evaluation)
        for key in (entry.body[name] for name in ("approval", "signature") if name in entry.body):
            if digest(log.store.get(str(key))) != entry.body["sha256"]:
                return [f"Entry {entry.sequence} ({entry.action}): {key} was changed since."]
    except (NotFoundError, IntegrityError, RefusedError) as error:
        return [f"Entry {entry.sequence} ({entry.action}): {error}"]
    return []
