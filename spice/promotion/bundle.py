"""Everything an auditor needs, in one folder or archive that is verified without the store.

A bundle is a part of a store, laid out as one: the ledger, the keys, and the
signed requests, approvals, decisions, policies, evaluations, signatures and
manifests that the ledger speaks of. So the same code verifies both. Weights and
documents are not in it; manifests tell their digests. `bundle.json` lists every
file with its digest: signatures keep out forgeries, the list finds any damage.
"""

from __future__ import annotations

import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from spice import __version__
from spice.errors import ConfigError, NotFoundError, RefusedError, StoreError
from spice.promotion import audit, checkpoint, gate, policy, switchflag
from spice.promotion import request as requests
from spice.promotion.audit import Audit
from spice.promotion.log import POINTER, ReleaseLog
from spice.store.base import ObjectStore
from spice.store.canonical import digest
from spice.store.folder import FolderStore
from spice.store.keys import check_key
from spice.store.refs import MANIFEST, digest_of
from spice.trust.ledger import Clock, timestamp
from spice.trust.signing import Hex64

ABOUT = "bundle.json"
_WHOLE = ("ledger/", "trust/", "requests/", "decisions/", f"{gate.POLICIES}/", f"{checkpoint.PREFIX}/")
_ARCHIVES = (".tar.gz", ".tgz")
_MOST_BYTES = 2**34  # of an archive when unpacked


class About(BaseModel):
    """`bundle.json`: what a bundle says of itself, unsigned."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    taken: str
    version: str
    head: Hex64
    files: dict[str, Hex64]


@dataclass(frozen=True)
class Verified:
    """What the verification of a bundle found.

    Attributes:
        audit: of its ledger.
        source: the store it was taken from, as the bundle says.
        taken: when, as the bundle says.
        decisions: how many of the gate's decisions were made again from their policies and facts.
        problems: what is wrong, with the audit's own problems. Empty if all is well.
    """

    audit: Audit
    source: str
    taken: str
    decisions: int
    problems: tuple[str, ...]


def export(store: ObjectStore, out: Path, clock: Clock) -> Audit:
    """Write a bundle of `store` to `out`: a new folder, or an archive if its name ends in .tar.gz.

    Raises:
        ConfigError: `out` exists.
        IntegrityError: the ledger is not what was written.
        StoreError: the store cannot be read, or `out` cannot be written.
    """
    if out.exists():
        raise ConfigError(f"{out} exists already. Name another place.")
    found = audit.verify(store)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=".bundle-") as work:
            folder = Path(work) / "bundle"
            _copy(store, folder)
            about = About(
                source=store.url,
                taken=timestamp(clock()),
                version=__version__,
                head=found.head,
                files=_digests(FolderStore(folder)),
            )
            (folder / ABOUT).write_text(about.model_dump_json(indent=2) + "\n")
            if out.name.endswith(_ARCHIVES):
                packed = Path(work) / "packed"
                with tarfile.open(packed, "w:gz") as archive:
                    archive.add(folder, "bundle")
                packed.rename(out)
            else:
                folder.rename(out)
    except OSError as error:
        raise StoreError(f"The bundle {out} could not be written: {error.strerror}.") from error
    return found


def verify(bundle: Path, root: str | None = None, head: str | None = None) -> Verified:
    """Verify a bundle with nothing but itself.

    Args:
        bundle: what `export` wrote.
        root: what the first key's fingerprint must be.
        head: hash of an entry that the ledger must contain, noted when it was the last one.

    Raises:
        IntegrityError: a ledger entry was changed, removed, moved, inserted or forged; the message names it.
        RefusedError: the root is another key, or this is no bundle.
    """
    with _unpacked(bundle) as folder:
        about = _about(folder)
        store = FolderStore(folder)
        found = audit.verify(store, root)
        log = ReleaseLog(store)
        problems = [*found.problems, *_differences(about.files, _digests(store))]
        if head is not None and not log.contains(head):
            problems.append(f"No entry has the hash {head}: the ledger was cut shorter, or is another one.")
        if about.head != found.head:
            problems.append(f"{ABOUT} names another last entry than the ledger has.")
        decisions = 0
        for ref in sorted(log.state.requested):
            try:
                _judge_again(log, ref)
                decisions += 1
            except (RefusedError, StoreError) as error:
                problems.append(str(error))
        return Verified(found, about.source, about.taken, decisions, tuple(problems))


def _copy(store: ObjectStore, folder: Path) -> None:
    for prefix in _WHOLE:
        for info in store.list(prefix):
            _write(folder, info.key, store.get(info.key))
    for key in (POINTER, switchflag.KEY):
        if (found := store.read(key)) is not None:
            _write(folder, key, found[0])
    log = ReleaseLog(store)
    for ref in sorted(log.state.requested):
        wanted = requests.load(log, ref)
        keys = [f"{part}/{MANIFEST}" for part in (wanted.candidate, wanted.base, wanted.corpus)]
        for key in (f"{wanted.evaluation}.json", *keys):
            with suppress(NotFoundError):  # the verification tells what is missing
                _write(folder, key, store.get(key))


def _write(folder: Path, key: str, data: bytes) -> None:
    """Unflushed, unlike a store's `put`: a bundle that a power cut spoils is made again."""
    path = folder / check_key(key)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _digests(bundle: FolderStore) -> dict[str, str]:
    """SHA-256 of every file but `bundle.json`, by key."""
    return {info.key: digest(bundle.get(info.key)) for info in bundle.list("") if info.key != ABOUT}


def _differences(listed: Mapping[str, str], present: Mapping[str, str]) -> list[str]:
    return [
        *(f"{key} is missing from the bundle." for key in sorted(listed.keys() - present.keys())),
        *(f"{key} was added to the bundle." for key in sorted(present.keys() - listed.keys())),
        *(f"{key} was changed." for key in sorted(listed.keys() & present.keys()) if listed[key] != present[key]),
    ]


def _judge_again(log: ReleaseLog, ref: str) -> None:
    """Put the facts of a decision to the policies that it names, and compare."""
    wanted = requests.load(log, ref)
    decision = gate.load(log.store, wanted.decision, log.keyring)
    checkpoint.verify(log, wanted.candidate)
    for part in (wanted.candidate, wanted.base, wanted.corpus):
        if digest(log.store.get(f"{part}/{MANIFEST}")) != digest_of(part):
            raise RefusedError(f"{part}/{MANIFEST} was changed.")
    again: list[str] = []
    for each in decision.policies:
        text = log.store.get(f"{gate.POLICIES}/{each.digest}.rego").decode(errors="replace")
        rules = policy.Policy(each.name, text)
        if rules.digest != each.digest:
            raise RefusedError(f"The policy {each.digest} of {wanted.decision} was changed.")
        answer = policy.evaluate(rules, decision.facts.model_dump(mode="json"))
        if answer.outcome != each.outcome:
            raise RefusedError(f"{each.name} now says {answer.outcome} to the facts of {wanted.decision}.")
        again += answer.reasons
    if tuple(again) != decision.reasons:
        raise RefusedError(f"The policies of {wanted.decision} now give other reasons.")


@contextmanager
def _unpacked(bundle: Path) -> Iterator[Path]:
    if bundle.is_dir():
        yield bundle
        return
    with tempfile.TemporaryDirectory() as work:
        try:
            with tarfile.open(bundle, "r:gz") as archive:
                members = archive.getmembers()
                if sum(member.size for member in members) > _MOST_BYTES:
                    raise RefusedError(f"{bundle} would unpack to more than {_MOST_BYTES // 2**30} GiB.")
                archive.extractall(work, members, filter="data")
        except (OSError, tarfile.TarError, EOFError) as error:
            raise RefusedError(f"{bundle} is no bundle that can be read: {error}") from error
        yield Path(work) / "bundle"


def _about(folder: Path) -> About:
    try:
        return About.model_validate_json((folder / ABOUT).read_bytes())
    except (OSError, ValidationError) as error:
        raise RefusedError(f"{folder} is no bundle: it has no readable {ABOUT}.") from error
