"""Whose signature counts, for what, and when.

The first key registered in a store is its *root* and has every role;
`trust/root.json` names it, once and for all. Every other record is signed by a
key with the role `admin`, so each leads back to the root. A record is created
once and never changed. Whoever can replace the whole store can replace the
root too: auditors compare the root's fingerprint with the one they were told.

A rotation adds a record of the next *generation* under the same name. Which
generation counts at which point, and which was revoked, is what the ledger says
(`Keyring.follow`), because its order cannot be forged; a keyring that no ledger
drives takes the newest record, and objects under `trust/revocations/`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import ValidationError

from spice.errors import NotFoundError, RefusedError
from spice.store.base import ObjectStore
from spice.store.canonical import dumps
from spice.trust.keys import NAME
from spice.trust.principal import Principal, Role
from spice.trust.records import KEYS, REVOCATIONS, ROLES, ROOT, PublicKey, Revocation, Root, record_key
from spice.trust.signing import Signed, Signer, media_type, verify_bytes

__all__ = ["KEYS", "ROLES", "ROOT", "Keyring", "PublicKey", "Role", "Root"]

RECORD = "key"
REVOCATION = "revocation"
_DEEPEST = 8  # introductions between a key and the root


class _End(NamedTuple):
    """From which ledger entry on a key does not count, and whether for distrust or because a new one took its place."""

    first: int
    revoked: bool

    def __str__(self) -> str:
        return f"was {'revoked' if self.revoked else 'replaced'} from ledger entry {self.first} on"


class Proof(NamedTuple):
    """A DSSE payload with a signature: 128 hexadecimal digits, made by the key of that name."""

    signer: str
    payload_type: str
    payload: bytes
    hex: str


class Keyring:
    """The public keys of a store. A key is read and checked when it is first asked for, and then remembered.

    Attributes:
        entered: the ledger entry that names a signed document by its digest, by the document's reference; whoever
            reads the ledger fills it.
    """

    def __init__(self, store: ObjectStore) -> None:
        self.entered: Mapping[str, int] = {}
        self._store = store
        self._root: Root | None = None
        self._known: dict[str, tuple[PublicKey, ...]] = {}
        self._introducers: dict[str, str] = {}  # fingerprint of a key -> fingerprint of who vouched for it
        self._at_head: dict[str, PublicKey] = {}
        self._followed = False
        self._added: dict[str, int] = {}  # name -> ledger entry
        self._generations: dict[str, int] = {}
        self._ended: dict[str, _End] = {}  # by fingerprint, from the ledger
        self._revocations: dict[str, _End | None] = {}  # by fingerprint, from objects in the store

    def root(self) -> Root | None:
        """The store's first key, or `None` in a store without keys."""
        if self._root is not None:
            return self._root
        found = self._store.read(ROOT)
        if found is None:
            return None
        try:
            self._root = Root.model_validate_json(found[0])
        except ValidationError as error:
            raise RefusedError(
                f"{ROOT} in {self._store.url} is damaged, so no signature counts. Restore it."
            ) from error
        return self._root

    def names(self) -> Iterator[str]:
        """The names of all records, sound or not."""
        for info in self._store.list(KEYS):
            name = info.key.removeprefix(KEYS).removesuffix(".json")
            if "." not in name:
                yield name

    def get(self, name: str) -> PublicKey:
        """The key of `name` that is in force, after checking that its record leads back to the root.

        It may be revoked; `why_not` says.

        Raises:
            RefusedError: there is none, or its record is not to be trusted.
        """
        generations = self.generations(name)
        number = self._generations.get(name, 1) if self._followed else len(generations)
        if number > len(generations):
            raise RefusedError(f"The record {record_key(name, number)} is gone from {self._store.url}. Restore it.")
        return generations[number - 1]

    def registered(self, name: str) -> bool:
        """Whether there is a record under that name, sound or not."""
        return NAME.fullmatch(name) is not None and self._store.head(record_key(name)) is not None

    def newest(self, name: str) -> int:
        """Number of the newest generation of that name, sound or not; 1 if there is none."""
        return max(1, sum(1 for _ in self._store.list(f"{KEYS}{name}.")))

    def generations(self, name: str) -> tuple[PublicKey, ...]:
        """All keys that `name` ever had, oldest first. Raises `RefusedError` as `get` does."""
        return self._load(name, _DEEPEST)

    def why_not(self, key: PublicKey, entered: int | None = None) -> str:
        """Why what `key` signed does not count, or "".

        Args:
            key: a registered key.
            entered: the ledger entry that names what was signed by its digest, which proves that it existed then;
                `None` if it is signed now.
        """
        if problem := self._ended_before(key, entered):
            return problem
        revoked = self._revoked_by_object(key)
        if revoked and (entered is None or entered >= revoked.first):
            return f"the key of {key.name} {revoked}"
        return ""

    def revoked(self, key: PublicKey) -> bool:
        """Whether the ledger, as far as it was read, says that `key` is revoked."""
        ended = self._ended.get(key.fingerprint)
        return ended is not None and ended.revoked

    def require(self, signer: Signer, role: Role | None = None) -> PublicKey:
        """The registered key of `signer`, if it is in force and may act as `role`. Raises `RefusedError`."""
        key = self.get(signer.name)
        if key.public_key != signer.public_key:
            old = any(key.public_key == signer.public_key for key in self.generations(signer.name))
            raise RefusedError(
                f"The private key {signer.name} on this machine is not the one in force in {self._store.url}, where "
                f"the key was replaced. `spice keys rotate {signer.name}` completes an interrupted replacement."
                if old
                else f"The private key {signer.name} on this machine is not the one registered as {signer.name} in "
                f"{self._store.url}. Make a key with another name: `spice keys create NAME`."
            )
        if problem := self.why_not(key):
            raise RefusedError(f"{problem[0].upper()}{problem[1:]}.")
        if problem := misused(key, signer.principal.roles if signer.principal else None, role):
            raise RefusedError(f"{signer.name} {problem}")
        if signer.principal and self.registered(signer.principal.name):
            self._require_own(signer.principal.name, role)
        return key

    def open(
        self, sealed: Signed, kind: str, role: Role, ref: str | None = None, *, pending: bool = False
    ) -> dict[str, Any]:
        """The payload of a signed document of type `kind`, if its signer could act as `role` when they signed.

        Args:
            sealed: the document. If it has a field `on_behalf_of`, that is the `Principal` for whom a service signed.
            kind: what it must be.
            role: what its signer must be.
            ref: under which name `entered` may know it.
            pending: see `accept`.

        Raises:
            RefusedError: the document does not count.
        """
        if sealed.kind != kind:
            raise RefusedError(f"This is a {sealed.kind} and no {kind}; its signature is not valid, or it was forged.")
        proof = Proof(sealed.signer, media_type(kind), dumps(sealed.payload), sealed.signature)
        self.accept(proof, kind, role, sealed.payload, ref, pending=pending)
        return sealed.payload

    def accept(
        self, proof: Proof, what: str, role: Role, said: Mapping[str, Any], ref: str | None, *, pending: bool = False
    ) -> PublicKey:
        """The key that made a signature, if it counts and its owner could act as `role`.

        Args:
            proof: what was signed, by whom.
            what: a word for it, for the refusal.
            role: what the signer must be.
            said: the payload as an object, which may name a principal in `on_behalf_of`.
            ref: under which name `entered` may know it.
            pending: something new is to rest on it, so a revoked key does not count, whenever it signed.

        Raises:
            RefusedError: the signature does not count.
        """
        keys = self.generations(proof.signer)
        made_by = [key for key in keys if verify_bytes(key.public_key, proof.payload_type, proof.payload, proof.hex)]
        if not made_by:
            raise RefusedError(
                f"The signature of {proof.signer} on this {what} is not valid; it was changed or forged."
            )
        key = made_by[-1]
        entered = self.entered.get(ref) if ref else None
        if problem := self.why_not(key, None if pending and self.revoked(key) else entered):
            raise RefusedError(f"This {what} does not count: {problem}.")
        if problem := misused(key, principal_roles(said), role):
            raise RefusedError(f"This {what} does not count: {proof.signer}, who signed it, {problem}")
        return key

    def made_by(self, name: str, payload_type: str, payload: bytes, signature: str) -> str | None:
        """Public half of the key of `name`, of whatever generation, that made `signature`. Raises `RefusedError`."""
        for key in reversed(self.generations(name)):
            if verify_bytes(key.public_key, payload_type, payload, signature):
                return key.public_key
        return None

    def at_head(self, name: str) -> PublicKey:
        """The key with which `name` must sign the next ledger entry. Raises `RefusedError` if there is none."""
        if name not in self._at_head:
            key = self.get(name)
            if problem := self._ended_before(key, None):
                raise RefusedError(f"{problem[0].upper()}{problem[1:]}.")
            self._at_head[name] = key
        return self._at_head[name]

    def follow(self) -> None:
        """From now on `observe` says what is in force: no rotation or revocation counts before its ledger entry."""
        self._followed = True

    def observe(self, action: str, name: str, body: Mapping[str, Any], sequence: int) -> None:
        """Take in a verified ledger entry about the key of `name`.

        Raises:
            RefusedError: it speaks of a key that is not there.
        """
        self._at_head.clear()
        if action == "keys.add":
            self._added.setdefault(name, sequence)
        elif action == "keys.rotate":
            self._known.pop(name, None)
            old = self.get(name)
            self._generations[name] = int(body["generation"])
            self._ended.setdefault(old.fingerprint, _End(sequence, revoked=False))
            if self.get(name).fingerprint != body["fingerprint"]:
                raise RefusedError(f"The record {record_key(name, int(body['generation']))} is not the one entered.")
        elif action == "keys.revoke":
            fingerprint = str(body["fingerprint"])
            before = self._ended.get(fingerprint, _End(sequence, revoked=True)).first
            self._ended[fingerprint] = _End(min(before, int(body["from_entry"])), revoked=True)

    def _ended_before(self, key: PublicKey, entered: int | None) -> str:
        """`why_not` by the ledger alone."""
        ended = self._ended.get(key.fingerprint)
        if ended and (entered is None or entered >= ended.first):
            return f"the key of {key.name} {ended}"
        introducer = self._ended.get(self._introducers.get(key.fingerprint, ""))
        added = self._added.get(key.name)
        if introducer and introducer.revoked and (added is None or added >= introducer.first):
            return f"the key of {key.name} was registered with one that {introducer}"
        return ""

    def _revoked_by_object(self, key: PublicKey) -> _End | None:
        """A revocation for those who cannot wait for the ledger; it must be an admin's or the owner's."""
        if key.fingerprint not in self._revocations:
            found = self._store.read(f"{REVOCATIONS}{key.fingerprint}.json")
            self._revocations[key.fingerprint] = self._revocation(key, found[0]) if found else None
        return self._revocations[key.fingerprint]

    def _revocation(self, key: PublicKey, data: bytes) -> _End | None:
        try:
            sealed = Signed.model_validate_json(data)
            said = Revocation.model_validate(sealed.payload)
            signers = self.generations(sealed.signer)
        except (ValidationError, RefusedError):
            return None
        may = [k for k in signers if k.name == key.name or "admin" in k.roles]
        good = any(sealed.valid_under(REVOCATION, k.public_key) for k in may) and said.fingerprint == key.fingerprint
        return _End(said.from_entry, revoked=True) if good else None

    def _require_own(self, name: str, role: Role | None) -> None:
        """A person who has a key has no more rights through a service than with it."""
        own = self.get(name)
        if problem := self.why_not(own):
            raise RefusedError(f"{problem[0].upper()}{problem[1:]}.")
        if role is not None and role not in own.roles:
            raise RefusedError(f"{name} has the roles {', '.join(own.roles)}; this needs the role {role}.")

    def _load(self, name: str, depth: int) -> tuple[PublicKey, ...]:
        if name not in self._known:
            if not NAME.fullmatch(name):
                raise RefusedError(f"{name!r} is not the name of a key.")
            records = [self._read(name, 1, None, depth)]
            numbers = {info.key for info in self._store.list(f"{KEYS}{name}.")}
            while record_key(name, len(records) + 1) in numbers:
                records.append(self._read(name, len(records) + 1, records[-1], depth))
            self._known[name] = tuple(records)
        return self._known[name]

    def _read(self, name: str, generation: int, before: PublicKey | None, depth: int) -> PublicKey:
        key = record_key(name, generation)
        try:
            sealed = Signed.model_validate_json(self._store.get(key))
            record = PublicKey.model_validate(sealed.payload)
        except NotFoundError as error:
            raise RefusedError(
                f"No key named {name} is registered in {self._store.url}. "
                f"An admin registers it with `spice keys create {name}`."
            ) from error
        except ValidationError as error:
            raise RefusedError(f"The record of key {name} in {self._store.url} is damaged. Restore it.") from error
        introducer = self._introducer(sealed, record, name, before, depth)
        if introducer is None or record.name != name:
            raise RefusedError(
                f"The record of key {name} in {self._store.url} was not signed by an admin whose own key leads back "
                "to the store's first key; nothing that it signed counts."
            )
        self._introducers[record.fingerprint] = introducer.fingerprint
        return record

    def _introducer(
        self, sealed: Signed, record: PublicKey, name: str, before: PublicKey | None, depth: int
    ) -> PublicKey | None:
        """The key that vouches for `record`, if it may: the root for itself, the key before it, or an admin."""
        root = self.root()
        candidates: tuple[PublicKey, ...]
        if before is None and root is not None and name == root.name:
            candidates = (record,) if record.fingerprint == root.fingerprint and sealed.signer == name else ()
        elif sealed.signer == name:
            candidates = (before,) if before is not None and before.roles == record.roles else ()
        else:
            candidates = self._load(sealed.signer, depth - 1) if depth > 0 else ()
            candidates = tuple(key for key in candidates if "admin" in key.roles)
        return next((key for key in candidates if sealed.valid_under(RECORD, key.public_key)), None)


def misused(key: PublicKey, principal: Sequence[Role] | None, role: Role | None) -> str:
    """Why the owner of `key` may not act as `role`, or "".

    Args:
        key: the key that signs.
        principal: roles of the person for whom a service signs, or `None`.
        role: what is needed; `None` for nothing in particular.
    """
    delegate = "delegate" in key.roles
    if delegate and principal is None:
        return f"may only act for people whom it identified: it has the role delegate in {', '.join(key.roles)}."
    if principal is not None and not delegate:
        return "may not act for other people: that needs the role delegate."
    if role is not None and role not in key.roles:
        return f"has the roles {', '.join(key.roles)}; this needs the role {role}."
    if role is not None and principal is not None and role not in principal:
        return f"acts for somebody who has the roles {', '.join(principal)}; this needs the role {role}."
    return ""


def principal_roles(said: Mapping[str, Any]) -> tuple[Role, ...] | None:
    """Roles of the person for whom a service signed `said`, or `None`. Raises `RefusedError` if they are not told."""
    if said.get("on_behalf_of") is None:
        return None
    try:
        return Principal.model_validate(said["on_behalf_of"]).roles
    except ValidationError as error:
        raise RefusedError("It was signed for a person who is not properly named.") from error
