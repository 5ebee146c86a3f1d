"""Replacing and revoking keys: ledger entries, since only their order tells what was signed before and what after.

A rotated key stays good for what the ledger names before the rotation; a
revoked one for what it names before the entry given. That entry may lie in the
past: a key stolen on Monday and missed on Wednesday is revoked from Monday on.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from spice.errors import ConflictError, RefusedError
from spice.store.base import ObjectStore
from spice.store.canonical import dumps
from spice.trust.keyring import REVOCATION, Keyring
from spice.trust.keys import create_signer, load_signer, private_key_path
from spice.trust.ledger import Clock, Draft, Entry, Ledger
from spice.trust.records import REVOCATIONS, PublicKey, Revocation
from spice.trust.register import write_record
from spice.trust.signing import Signer


def rotate_own(
    store: ObjectStore, name: str, folder: Path, clock: Clock, admin: Signer | None = None, token: str = ""
) -> PublicKey:
    """Make the next private key of `name` in `folder` and let it take the place of the one in force.

    Args:
        store: where the key is registered.
        name: whose key.
        folder: of private keys. The old one stays: another store may know it.
        clock: dates the entry.
        admin: who vouches for the new key, if the old one is lost or revoked; else the old one does.
        token: PKCS#11 URI of a new key that is to sign checkpoints; by default it is derived from the private one.

    Raises:
        RefusedError: the old private key is not there or does not count, and no admin vouches; or the token's key was
            used before.
    """
    keyring = Keyring(store)
    Ledger(store, keyring, _ignore).catch_up()
    number = keyring.generations(name).index(keyring.get(name)) + 1
    by = admin or load_signer(name, folder, number)
    keyring.require(by, "admin" if admin else None)
    there = private_key_path(name, folder, number + 1).exists()
    new = load_signer(name, folder, number + 1) if there else create_signer(name, folder, number + 1, token)
    return rotate(store, new, by, clock)


def rotate(store: ObjectStore, new: Signer, by: Signer, clock: Clock) -> PublicKey:
    """Let `new` take the place of the key registered under its name; doing it again completes what was interrupted.

    Args:
        store: where.
        new: the new private key, under the old name.
        by: the old key, or an admin.
        clock: dates the entry.

    Raises:
        RefusedError: `by` is neither, or the old key is revoked and `by` is no admin.
    """
    keyring = Keyring(store)
    ledger = Ledger(store, keyring, _ignore)
    ledger.catch_up()
    old = keyring.get(new.name)
    if old.public_key == new.public_key:
        return old
    keyring.require(by, None if by.name == new.name else "admin")
    generations = keyring.generations(new.name)
    if any(one.checkpoint_key == new.checkpoint_key and one.public_key != new.public_key for one in generations):
        raise RefusedError(
            f"An earlier key of {new.name} signed checkpoints with the same key of the token, so ending that one would "
            "end nothing. Make a new key in the token and name it."
        )
    generation = generations.index(old) + 2
    record = PublicKey.model_validate(
        {**old.model_dump(), "public_key": new.public_key, "checkpoint_key": new.checkpoint_key}
    )
    write_record(store, keyring, record, by, generation)
    body = {"generation": generation, "fingerprint": record.fingerprint, "previous": old.fingerprint}

    def decide() -> Draft | None:
        done = keyring.get(new.name).public_key == new.public_key
        return None if done else Draft("keys.rotate", new.name, body)

    ledger.append(by, clock, decide)
    return record


def revoke(
    store: ObjectStore, name: str, by: Signer, clock: Clock, from_entry: int | None = None, reason: str = ""
) -> Revocation:
    """Let the key of `name` count no more, from a ledger entry on; doing it again completes what was interrupted.

    Args:
        store: where.
        name: whose key.
        by: an admin, or its owner.
        clock: dates the entry.
        from_entry: the first ledger entry that is not to be trusted; by default the revocation itself.
        reason: for whoever reads the ledger later.

    Raises:
        RefusedError: `by` is neither, or nobody would be left to register keys.
    """
    keyring = Keyring(store)
    ledger = Ledger(store, keyring, _ignore)
    ledger.catch_up()
    key = keyring.get(name)
    if not keyring.revoked(key):
        keyring.require(by, None if by.name == name else "admin")
    if "admin" in key.roles and not _admins(keyring) - {name}:
        raise RefusedError(
            f"{name} is the last admin: without one nobody could register a key again. Register another first: "
            "`spice keys create NAME --role admin`. A key that is not lost can be rotated."
        )
    start = len(ledger.hashes) if from_entry is None else min(from_entry, len(ledger.hashes))
    revocation = Revocation(name=name, fingerprint=key.fingerprint, from_entry=start, reason=reason)

    def decide() -> Draft | None:
        if keyring.revoked(key):
            return None
        return Draft("keys.revoke", name, revocation.model_dump(exclude={"name"}))

    ledger.append(by, clock, decide)
    sealed = by.seal(REVOCATION, revocation.model_dump())
    with suppress(ConflictError):  # it was told already
        store.create(f"{REVOCATIONS}{key.fingerprint}.json", dumps(sealed.model_dump()))
    return revocation


def _admins(keyring: Keyring) -> set[str]:
    """Everybody whose key may still register keys."""
    found = set()
    for name in keyring.names():
        try:
            key = keyring.get(name)
        except RefusedError:
            continue
        if "admin" in key.roles and not keyring.why_not(key):
            found.add(name)
    return found


def _ignore(entry: Entry) -> None:
    """Rotation and revocation are decided by the keyring, which the ledger drives itself."""
