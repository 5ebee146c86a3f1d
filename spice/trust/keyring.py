"""Public keys: records in the store that say whose signature counts, and for what.

The first key registered in a store is its *root* and has every role;
`trust/root.json` names it, once and for all. Every other record is signed by a
key with the role `admin`, so each leads back to the root. A record is created
once and never changed. Whoever can replace the whole store can replace the
root too: auditors compare the root's fingerprint with the one they were told.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from spice.errors import ConfigError, ConflictError, NotFoundError, RefusedError, SpiceError
from spice.store.base import ObjectStore
from spice.store.canonical import dumps
from spice.trust.keys import NAME
from spice.trust.signing import Hex64, Signed, Signer, fingerprint, verify

Role = Literal["admin", "requester", "approver", "releaser", "operator"]
ROLES: tuple[Role, ...] = get_args(Role)

ROOT = "trust/root.json"
KEYS = "trust/keys/"
_KIND = "key"
_DEEPEST = 8  # introductions between a key and the root


class PublicKey(BaseModel):
    """A registered key: its owner's name, what the owner may do, and 32 bytes in hexadecimal."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    roles: tuple[Role, ...] = Field(min_length=1)
    public_key: Hex64

    @property
    def fingerprint(self) -> str:
        """What people compare to make sure that they mean the same key."""
        return fingerprint(self.public_key)


class Root(BaseModel):
    """The store's first key."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    fingerprint: Hex64


class Keyring:
    """The public keys of a store. A key is read and checked when it is first asked for, and then remembered."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._known: dict[str, PublicKey] = {}

    def root(self) -> Root | None:
        """The store's first key, or `None` in a store without keys."""
        found = self._store.read(ROOT)
        if found is None:
            return None
        try:
            return Root.model_validate_json(found[0])
        except ValidationError as error:
            raise RefusedError(
                f"{ROOT} in {self._store.url} is damaged, so no signature counts. Restore it."
            ) from error

    def names(self) -> Iterator[str]:
        """The names of all records, sound or not."""
        for info in self._store.list(KEYS):
            yield info.key.removeprefix(KEYS).removesuffix(".json")

    def get(self, name: str) -> PublicKey:
        """The key registered under `name`, after checking that its record leads back to the root.

        Raises:
            RefusedError: there is none, or its record is not to be trusted.
        """
        return self._get(name, _DEEPEST)

    def require(self, signer: Signer, role: Role | None = None) -> PublicKey:
        """The registered key of `signer`, if it is that and may act as `role`. Raises `RefusedError`."""
        key = self.get(signer.name)
        if key.public_key != signer.public_key:
            raise RefusedError(
                f"The private key {signer.name} on this machine is not the one registered as {signer.name} in "
                f"{self._store.url}. Make a key with another name: `spice keys create NAME`."
            )
        if role is not None and role not in key.roles:
            raise RefusedError(f"{signer.name} has the roles {', '.join(key.roles)}; this needs the role {role}.")
        return key

    def open(self, sealed: Signed, kind: str, role: Role) -> dict[str, Any]:
        """The payload of a signed document of type `kind`, if its signer may act as `role`. Raises `RefusedError`."""
        key = self.get(sealed.signer)
        if not sealed.valid_under(kind, key.public_key):
            raise RefusedError(
                f"The signature of {sealed.signer} on this {kind} is not valid; it was changed or forged."
            )
        if role not in key.roles:
            raise RefusedError(f"{sealed.signer} signed this {kind} without the role {role}.")
        return sealed.payload

    def verify(self, name: str, kind: str, payload: dict[str, Any], signature: str) -> bool:
        """Whether the owner of the key `name` signed `payload`. Raises `RefusedError` if the key is unknown."""
        return verify(self.get(name).public_key, kind, payload, signature)

    def _get(self, name: str, depth: int) -> PublicKey:
        if name not in self._known:
            self._known[name] = self._read(name, depth)
        return self._known[name]

    def _read(self, name: str, depth: int) -> PublicKey:
        if not NAME.fullmatch(name):
            raise RefusedError(f"{name!r} is not the name of a key.")
        try:
            sealed = Signed.model_validate_json(self._store.get(f"{KEYS}{name}.json"))
            record = PublicKey.model_validate(sealed.payload)
        except NotFoundError as error:
            raise RefusedError(
                f"No key named {name} is registered in {self._store.url}. "
                f"An admin registers it with `spice keys create {name}`."
            ) from error
        except ValidationError as error:
            raise RefusedError(f"The record of key {name} in {self._store.url} is damaged. Restore it.") from error
        root = self.root()
        if root is not None and name == root.name:
            vouched = record.fingerprint == root.fingerprint and sealed.signer == name
            introducer = record
        else:
            vouched = depth > 0 and sealed.signer != name
            introducer = self._get(sealed.signer, depth - 1) if vouched else record
        if not (vouched and record.name == name and "admin" in introducer.roles) or not sealed.valid_under(
            _KIND, introducer.public_key
        ):
            raise RefusedError(
                f"The record of key {name} in {self._store.url} was not signed by an admin whose own key leads back "
                "to the store's first key; nothing that it signed counts."
            )
        return record


def register(store: ObjectStore, signer: Signer, roles: Iterable[Role], introducer: Signer | None = None) -> PublicKey:
    """Register the public half of `signer`. Registering the same key again changes nothing.

    Args:
        store: where.
        signer: the new key.
        roles: what its owner may do; the store's first key gets every role, whatever is asked.
        introducer: an admin who vouches for it; not needed for the store's first key.

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
    record = PublicKey(name=signer.name, roles=tuple(sorted(set(roles))), public_key=signer.public_key)
    _refuse_second_name(keyring, record)
    data = dumps(introducer.seal(_KIND, record.model_dump(mode="json")).model_dump(mode="json"))
    try:
        store.create(f"{KEYS}{record.name}.json", data)
    except ConflictError as error:
        if keyring.get(record.name) != record:
            raise RefusedError(
                f"A key named {record.name} is registered already and keys never change. Take another name."
            ) from error
    return record


def checked_roles(names: Sequence[str]) -> tuple[Role, ...]:
    """`names` as roles. Raises `ConfigError` if one is none."""
    unknown = [name for name in names if name not in ROLES]
    if unknown:
        raise ConfigError(f"{', '.join(unknown)}: no such role. The roles are {', '.join(ROLES)}.")
    return tuple(role for role in ROLES if role in names)


def _become_root(store: ObjectStore, signer: Signer) -> Root:
    root = Root(name=signer.name, fingerprint=fingerprint(signer.public_key))
    try:
        store.create(ROOT, dumps(root.model_dump()))
    except ConflictError:
        return Keyring(store).root() or root
    return root


def _refuse_second_name(keyring: Keyring, record: PublicKey) -> None:
    """One key under two names would let one person approve their own request."""
    for name in keyring.names():
        try:
            other = keyring.get(name)
        except SpiceError:
            continue  # a record that counts for nothing takes no key
        if name != record.name and other.public_key == record.public_key:
            raise RefusedError(f"This key is registered as {name} already; a person has one key under one name.")
