"""API keys: who may ask the gateway for what.

A key is shown once, when it is made. The store holds only its SHA-256, in a
record that an admin signed, so that whoever can write to the store still cannot
let themselves in. The secret is 256 random bits: nothing to be guessed, so that
a fast hash does. Records are written once; a revocation stands beside its record.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import re
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal, get_args

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from spice.errors import ConfigError, ConflictError, NotFoundError, RefusedError, SpiceError
from spice.serving.errors import GatewayError
from spice.store.base import ObjectStore
from spice.store.canonical import digest, dumps
from spice.trust.keyring import Keyring
from spice.trust.signing import Hex64, Signed, Signer

log = logging.getLogger(__name__)

Scope = Literal["generate", "models", "metrics"]
SCOPES: tuple[Scope, ...] = get_args(Scope)

PREFIX = "serving/keys/"
_KIND, _REVOCATION = "api-key", "api-key-revocation"
_TOKEN = re.compile(r"spice-([0-9a-f]{12})-[A-Za-z0-9_-]{43}")
_NOBODY = "0" * 64


class ApiKey(BaseModel):
    """What the store says of one key."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern=r"^[0-9a-f]{12}$")
    name: str = Field(min_length=1, max_length=64)
    scopes: tuple[Scope, ...] = Field(min_length=1)
    sha256: Hex64
    created: AwareDatetime
    expires: AwareDatetime | None


class Listed(BaseModel):
    """A key and whether it still opens anything."""

    key: ApiKey
    revoked: bool


def add(
    store: ObjectStore, signer: Signer, name: str, scopes: Sequence[str], now: datetime, days: float | None = None
) -> tuple[ApiKey, str]:
    """Make a key.

    Args:
        store: holds its record.
        signer: an admin.
        name: whose it is, for lists and logs.
        scopes: what it opens.
        now: the present.
        days: after these it expires; never if `None`.

    Returns:
        The record, and the key itself, which is nowhere else.

    Raises:
        ConfigError: a scope or the name is none.
        RefusedError: the signer is no admin.
    """
    Keyring(store).require(signer, "admin")
    identifier = secrets.token_hex(6)
    token = f"spice-{identifier}-{secrets.token_urlsafe(32)}"
    try:
        record = ApiKey.model_validate(
            {
                "id": identifier,
                "name": name,
                "scopes": tuple(sorted(set(scopes))),
                "sha256": digest(token.encode()),
                "created": now,
                "expires": None if days is None else now + timedelta(days=days),
            }
        )
    except ValidationError as error:
        raise ConfigError(
            f"An API key has a name of 1 to 64 characters and scopes among {', '.join(SCOPES)}; given were {name!r} "
            f"and {', '.join(scopes) or 'none'}."
        ) from error
    store.create(_record(identifier), dumps(signer.seal(_KIND, record.model_dump(mode="json")).model_dump(mode="json")))
    return record, token


def revoke(store: ObjectStore, signer: Signer, identifier: str, now: datetime) -> None:
    """Revoke a key for good; revoking it again changes nothing.

    Raises:
        NotFoundError: there is no such key.
        RefusedError: the signer is no admin.
    """
    Keyring(store).require(signer, "admin")
    if store.head(_record(identifier)) is None:
        raise NotFoundError(f"There is no API key {identifier} in {store.url}; `spice serve keys list` shows them.")
    sealed = signer.seal(_REVOCATION, {"id": identifier, "time": now.isoformat()})
    try:
        store.create(_revocation(identifier), dumps(sealed.model_dump(mode="json")))
    except ConflictError:
        return


def list_(store: ObjectStore, keyring: Keyring) -> list[Listed]:
    """All keys whose records count, by id. Raises `StoreError`."""
    names = [info.key.removeprefix(PREFIX) for info in store.list(PREFIX)]
    revoked = {name.removesuffix(".revoked.json") for name in names if name.endswith(".revoked.json")}
    found = []
    for name in names:
        identifier = name.removesuffix(".json")
        if f"{PREFIX}{name}" != _record(identifier) or identifier.endswith(".revoked"):
            continue
        try:
            sealed = Signed.model_validate_json(store.get(f"{PREFIX}{name}"))
            key = ApiKey.model_validate(keyring.open(sealed, _KIND, "admin"))
        except (ValidationError, RefusedError) as error:
            log.warning("%s%s does not count: %s", PREFIX, name, error)
            continue
        if key.id == identifier:
            # That a revocation is there is enough: it need not be a sound one to close the door.
            found.append(Listed(key=key, revoked=identifier in revoked))
    return found


class KeyTable:
    """The keys that open something, read again from time to time.

    While the store cannot be read the last table stays; the gateway stops answering then by itself.

    Attributes:
        usable: keys that are not revoked, by id.
    """

    def __init__(self, store: ObjectStore, seconds: float) -> None:
        self.usable: Mapping[str, ApiKey] = {}
        self._store = store
        self._seconds = seconds

    async def run(self) -> None:
        """Follow the store until cancelled."""
        while True:
            try:
                listed = await asyncio.to_thread(list_, self._store, Keyring(self._store))
            except SpiceError as error:
                log.warning("API keys cannot be read: %s", error)
            else:
                self.usable = {entry.key.id: entry.key for entry in listed if not entry.revoked}
            await asyncio.sleep(self._seconds)


def check(keys: Mapping[str, ApiKey], authorization: str, scope: Scope, now: datetime) -> ApiKey:
    """The key in the header `Authorization: Bearer KEY`, if it opens `scope`.

    Raises:
        GatewayError: 401, it is no key that counts; 403, it does not open this.
    """
    scheme, _, token = authorization.strip().partition(" ")
    match = _TOKEN.fullmatch(token.strip())
    key = keys.get(match[1]) if match else None
    # The same work whether the id is known or not, so that the time taken tells nothing.
    right = hmac.compare_digest(digest(token.strip().encode()), key.sha256 if key else _NOBODY)
    expired = key is not None and key.expires is not None and now >= key.expires
    if scheme.lower() != "bearer" or key is None or not right or expired:
        raise GatewayError(
            401,
            "invalid_api_key",
            "No valid API key. Send it in the header Authorization: Bearer KEY.",
            {"www-authenticate": "Bearer"},
        )
    if scope not in key.scopes:
        raise GatewayError(403, "missing_scope", f"This API key does not open {scope}, only {', '.join(key.scopes)}.")
    return key


def _record(identifier: str) -> str:
    return f"{PREFIX}{identifier}.json"


def _revocation(identifier: str) -> str:
    return f"{PREFIX}{identifier}.revoked.json"
