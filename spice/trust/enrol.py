"""How people get a key that counts in a store, with an entry in its ledger."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from spice.errors import RefusedError
from spice.store.base import ObjectStore
from spice.trust.keyring import Keyring
from spice.trust.keys import create_signer, load_signer, private_key_path
from spice.trust.ledger import Clock, Draft, Entry, Ledger
from spice.trust.principal import Role
from spice.trust.records import ROLES, PublicKey
from spice.trust.register import register
from spice.trust.signing import Signer

LOCAL = "local"


def enrol(
    store: ObjectStore,
    signer: Signer,
    roles: Iterable[Role],
    clock: Clock,
    introducer: Signer | None = None,
    *,
    groups: Iterable[str] = (),
    identities: Iterable[str] = (),
) -> PublicKey:
    """Register a key and say so in the ledger; doing it again completes what was interrupted. See `register`.

    Raises:
        RefusedError: nobody, or no admin, vouches for the key; or its name is taken.
    """
    record = register(store, signer, roles, introducer, groups=groups, identities=identities)
    entered: set[str] = set()

    def observe(entry: Entry) -> None:
        if entry.action == "keys.add":
            entered.add(entry.subject)

    def decide() -> Draft | None:
        if record.name in entered:
            return None
        body = {"fingerprint": record.fingerprint, "roles": list(record.roles), "identities": list(record.identities)}
        return Draft("keys.add", record.name, body)

    Ledger(store, Keyring(store), observe).append(introducer or signer, clock, decide)
    return record


def own_signer(store: ObjectStore, name: str, folder: Path, clock: Clock) -> Signer:
    """The signer of that name; `local` comes into being at its first use in a folder store without any keys.

    That spares a person alone on one machine a ceremony that would protect
    nothing: their key becomes the store's root. A shared store (S3), and one
    that has keys, only takes keys that an admin registers.

    Raises:
        RefusedError: there is no such private key, or it does not count in this store.
    """
    keyring = Keyring(store)
    root = keyring.root()
    path = private_key_path(name, folder)
    if name == LOCAL and not store.url.startswith("s3://"):
        if root is None:
            signer = load_signer(name, folder) if path.exists() else create_signer(name, folder)
            enrol(store, signer, ROLES, clock)
            return signer
        if root.name == LOCAL and path.exists() and keyring.newest(name) == 1:
            enrol(store, load_signer(name, folder), ROLES, clock)  # completes an interrupted first use
    if root is None:
        raise RefusedError(
            f"{store.url} has no keys yet. Its owner makes the first with `spice keys create NAME`, which may do all."
        )
    signer = load_signer(name, folder, keyring.newest(name))
    keyring.require(signer)
    return signer
