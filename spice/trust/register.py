"""Writing key records: the first key, those that admins vouch for, and new generations of either."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import get_args

from spice.errors import ConfigError, ConflictError, RefusedError, SpiceError
from spice.store.base import ObjectStore
from spice.store.canonical import dumps
from spice.trust.keyring import RECORD, Keyring
from spice.trust.principal import Role
from spice.trust.records import ROLES, ROOT, PublicKey, Root, record_key
from spice.trust.signing import Signer, fingerprint


def register(
    store: ObjectStore,
    signer: Signer,
    roles: Iterable[Role],
    introducer: Signer | None = None,
    *,
    groups: Iterable[str] = (),
    identities: Iterable[str] = (),
) -> PublicKey:
    """Register the public half of `signer`. Registering the same key again changes nothing.

    Args:
        store: where.
        signer: the new key.
        roles: what its owner may do; the store's first key gets every role of a person, whatever is asked.
        introducer: an admin who vouches for it; not needed for the store's first key.
        groups: groups of the organisation that its owner belongs to.
        identities: what identity providers call its owner.

    Raises:
        RefusedError: nobody, or no admin, vouches; or the name or the key is already taken.
    """
    keyring = Keyring(store)
    root = keyring.root() or _become_root(store, signer)
    if root == Root(name=signer.name, fingerprint=fingerprint(signer.public_key)):
        introducer, roles = signer, ROLES
    elif introducer is None:
        raise RefusedError(f"{store.url} has keys already: an admin, such as {root.name}, must vouch for a new one.")
    else:
        keyring.require(introducer, "admin")
    record = PublicKey(
        name=signer.name,
        roles=tuple(sorted(set(roles))),
        public_key=signer.public_key,
        checkpoint_key=signer.checkpoint_key,
        groups=tuple(sorted(set(groups))),
        identities=tuple(sorted(set(identities))),
    )
    write_record(store, keyring, record, introducer)
    return record


def write_record(store: ObjectStore, keyring: Keyring, record: PublicKey, by: Signer, generation: int = 1) -> None:
    """Write `record`, signed by `by`, unless it is there already. Raises `RefusedError` if name or key is taken."""
    _refuse_taken(keyring, record)
    data = dumps(by.seal(RECORD, record.model_dump(mode="json")).model_dump(mode="json"))
    try:
        store.create(record_key(record.name, generation), data)
    except ConflictError as error:
        present = Keyring(store).generations(record.name)
        if len(present) < generation or present[generation - 1] != record:
            raise RefusedError(
                f"A key named {record.name} is registered already and keys never change. Take another name."
            ) from error


def checked_roles(names: Sequence[str]) -> tuple[Role, ...]:
    """`names` as roles. Raises `ConfigError` if one is none."""
    known: tuple[Role, ...] = get_args(Role)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ConfigError(f"{', '.join(unknown)}: no such role. The roles are {', '.join(known)}.")
    return tuple(role for role in known if role in names)


def _become_root(store: ObjectStore, signer: Signer) -> Root:
    root = Root(name=signer.name, fingerprint=fingerprint(signer.public_key))
    try:
        store.create(ROOT, dumps(root.model_dump()))
    except ConflictError:
        return Keyring(store).root() or root
    return root


def _refuse_taken(keyring: Keyring, record: PublicKey) -> None:
    """One key under two names, or one identity under two, would let one person approve their own request."""
    for name in keyring.names():
        if name == record.name:
            continue
        try:
            others = keyring.generations(name)
        except SpiceError:
            continue  # a record that counts for nothing takes no key
        if any(other.public_key == record.public_key or _same_checkpoint_key(other, record) for other in others):
            raise RefusedError(f"This key is registered as {name} already; a person has one key under one name.")
        if shared := {record.name, *record.identities} & {name, *others[-1].identities}:
            raise RefusedError(f"{name} is {', '.join(sorted(shared))} already; an identity belongs to one person.")


def _same_checkpoint_key(one: PublicKey, other: PublicKey) -> bool:
    return one.checkpoint_key is not None and one.checkpoint_key == other.checkpoint_key
