"""What a store can really do, found out by trying.

A service may accept a condition or a lock and ignore it, so nothing here asks
for features: each check tries what must not be possible.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from spice.errors import ConflictError, RefusedError, StoreError
from spice.store.base import ObjectStore
from spice.store.folder import FolderStore

SCRATCH = "probe"

_LOCK_TIME = timedelta(minutes=1)
_LOW_SPACE_BYTES = 5 * 10**9


@dataclass(frozen=True)
class Finding:
    """One thing that a store can or cannot do.

    Attributes:
        name: what was tried.
        ok: whether the store does it.
        detail: what was seen.
        needed_for: what is lost without it.
        required: whether guardrails refuse to run without it.
    """

    name: str
    ok: bool
    detail: str
    needed_for: str
    required: bool


def probe(store: ObjectStore, now: datetime) -> list[Finding]:
    """Try everything on objects below `probe/`, and remove them.

    Args:
        store: the store to try.
        now: the present, with its time zone. Where the store can lock, one
            small version stays locked until a minute later.
    """
    findings = [
        _try(store, "write and read", _writes, "everything", required=True),
        _try(store, "create once", _creates_once, "the ledger: two writers could own one entry", required=True),
        _try(store, "compare and swap", _swaps, "release pointer and switch: a change could be lost", required=True),
        _try(store, "versioning", _keeps_versions, "bringing back what was replaced or deleted", required=False),
        _try(
            store,
            "retention",
            lambda store, key: _retains(store, key, now + _LOCK_TIME),
            "a ledger that nobody can delete; without it a change is only detected",
            required=False,
        ),
    ]
    if isinstance(store, FolderStore):
        findings.append(_try(store, "free space", lambda _, __: _has_room(store), "long runs", required=False))
    return findings


def require(findings: Sequence[Finding]) -> None:
    """Refuse to go on if the store lacks what guardrails stand on.

    Raises:
        RefusedError: something required is missing.
    """
    missing = [finding for finding in findings if finding.required and not finding.ok]
    if missing:
        reasons = "; ".join(f"{each.name} ({each.detail}), needed for {each.needed_for}" for each in missing)
        raise RefusedError(f"the store cannot carry the guardrails. It lacks: {reasons}. Use another store.")


def _try(
    store: ObjectStore,
    name: str,
    check: Callable[[ObjectStore, str], tuple[bool, str]],
    needed_for: str,
    *,
    required: bool,
) -> Finding:
    key = f"{SCRATCH}/{uuid.uuid4().hex}"
    try:
        try:
            ok, detail = check(store, key)
        finally:
            store.delete(key)
    except StoreError as error:
        ok, detail = False, str(error)
    return Finding(name, ok, detail, needed_for, required)


def _writes(store: ObjectStore, key: str) -> tuple[bool, str]:
    store.put(key, b"probe")
    same = store.get(key) == b"probe"
    return same, "read back as written" if same else "read back something else"


def _creates_once(store: ObjectStore, key: str) -> tuple[bool, str]:
    store.create(key, b"first")
    try:
        store.create(key, b"second")
    except ConflictError:
        return True, "the second writer was refused"
    return False, "the second writer was let through"


def _swaps(store: ObjectStore, key: str) -> tuple[bool, str]:
    first = store.swap(key, b"first", None)
    store.swap(key, b"second", first)
    try:
        store.swap(key, b"third", first)
    except ConflictError:
        return True, "a writer with an old state was refused"
    return False, "a writer with an old state was let through"


def _keeps_versions(store: ObjectStore, _: str) -> tuple[bool, str]:
    keeps = store.keeps_versions()
    return keeps, "replaced objects are kept" if keeps else "replaced objects are gone"


def _retains(store: ObjectStore, key: str, until: datetime) -> tuple[bool, str]:
    refused = store.refuses_deletion(key, until)
    return refused, "deleting a locked object was refused" if refused else "any writer can delete"


def _has_room(store: FolderStore) -> tuple[bool, str]:
    folder = next(path for path in (store.root, *store.root.parents) if path.exists())
    free = shutil.disk_usage(folder).free
    return free >= _LOW_SPACE_BYTES, f"{free / 10**9:.1f} GB free in {store.root}"
