"""API keys: who may ask the gateway for what.

A key is shown once, when it is made. The ledger holds its SHA-256, owner and
scopes, in an entry that an admin signed, and likewise its revocation: so it is
on record who let whom in, and whoever can write to the store still cannot let
themselves in. The secret is 256 random bits, nothing to be guessed, so that a
fast hash does.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Literal, get_args

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from spice.errors import ConfigError, IntegrityError, NotFoundError
from spice.promotion.log import ReleaseLog
from spice.serving.errors import GatewayError
from spice.store.base import ObjectStore
from spice.store.canonical import digest
from spice.trust.ledger import Clock, Draft, Entry
from spice.trust.signing import Hex64, Signer

Scope = Literal["generate", "models", "metrics"]
SCOPES: tuple[Scope, ...] = get_args(Scope)

_TOKEN = re.compile(r"spice-([0-9a-f]{12})-[A-Za-z0-9_-]{43}")
_NOBODY = "0" * 64


class ApiKey(BaseModel):
    """What the ledger says of one key; `id` is the subject of its entry."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern=r"^[0-9a-f]{12}$")
    owner: str = Field(min_length=1, max_length=64)
    scopes: tuple[Scope, ...] = Field(min_length=1)
    sha256: Hex64
    expires: AwareDatetime | None


class KeyBook:
    """The API keys of a ledger, as far as it has been read.

    Attributes:
        all: every key there ever was, by id.
        usable: those that are not revoked. Replaced and never changed, so that any thread may read it.
    """

    def __init__(self) -> None:
        self.all: dict[str, ApiKey] = {}
        self.usable: Mapping[str, ApiKey] = {}
        self._revoked: set[str] = set()

    def observe(self, entry: Entry) -> None:
        """Take in a verified entry. Raises `IntegrityError` if it is not one that this program makes."""
        if entry.action == "apikeys.add":
            try:
                self.all[entry.subject] = ApiKey.model_validate({**entry.body, "id": entry.subject})
            except ValidationError as error:
                raise IntegrityError(f"Ledger entry {entry.sequence} does not describe an API key: {error}") from error
        elif entry.action == "apikeys.revoke":
            self._revoked.add(entry.subject)
        else:
            return
        self.usable = {identifier: key for identifier, key in self.all.items() if identifier not in self._revoked}


def read(store: ObjectStore) -> KeyBook:
    """All API keys of a store. Raises as `ReleaseLog` does."""
    book = KeyBook()
    ReleaseLog(store, book.observe)
    return book


def add(
    store: ObjectStore, signer: Signer, owner: str, scopes: Sequence[str], clock: Clock, days: float | None = None
) -> tuple[ApiKey, str]:
    """Make a key.

    Args:
        store: its ledger gets the entry.
        signer: an admin.
        owner: whose key it is, for lists and logs.
        scopes: what it opens.
        clock: the present.
        days: after these it expires; never if `None`.

    Returns:
        What is on record, and the key itself, which is nowhere else.

    Raises:
        ConfigError: the owner or a scope is none.
        RefusedError: the signer is no admin.
    """
    log = ReleaseLog(store)
    identifier = secrets.token_hex(6)
    token = f"spice-{identifier}-{secrets.token_urlsafe(32)}"
    with log.refusals_recorded(signer, clock, "apikeys.add", identifier):
        log.keyring.require(signer, "admin")
        try:
            key = ApiKey.model_validate(
                {
                    "id": identifier,
                    "owner": owner,
                    "scopes": tuple(sorted(set(scopes))),
                    "sha256": digest(token.encode()),
                    "expires": None if days is None else clock() + timedelta(days=days),
                }
            )
        except ValidationError as error:
            raise ConfigError(
                f"An API key has an owner of 1 to 64 characters and scopes among {', '.join(SCOPES)}; given were "
                f"{owner!r} and {', '.join(scopes) or 'none'}."
            ) from error
        draft = Draft("apikeys.add", identifier, key.model_dump(mode="json", exclude={"id"}))
        log.append(signer, clock, lambda: draft)
        return key, token


def revoke(store: ObjectStore, signer: Signer, identifier: str, clock: Clock) -> None:
    """Revoke a key for good; revoking it again changes nothing.

    Raises:
        NotFoundError: there is no such key.
        RefusedError: the signer is no admin.
    """
    book = KeyBook()
    log = ReleaseLog(store, book.observe)
    with log.refusals_recorded(signer, clock, "apikeys.revoke", identifier):
        log.keyring.require(signer, "admin")
        if identifier not in book.all:
            raise NotFoundError(f"There is no API key {identifier} in {store.url}; `spice serve keys list` shows them.")
        draft = Draft("apikeys.revoke", identifier)
        log.append(signer, clock, lambda: draft if identifier in book.usable else None)


def check(keys: Mapping[str, ApiKey], authorization: str, scope: Scope, clock: Clock) -> ApiKey:
    """The key in the header `Authorization: Bearer KEY`, if it opens `scope`.

    Raises:
        GatewayError: 401, it is no key that counts; 403, it does not open this.
    """
    scheme, _, token = authorization.strip().partition(" ")
    token = token.strip()
    match = _TOKEN.fullmatch(token)
    key = keys.get(match[1]) if match else None
    # The same work whether the id is known or not, so that the time taken tells nothing.
    right = hmac.compare_digest(digest(token.encode()), key.sha256 if key else _NOBODY)
    expired = key is not None and key.expires is not None and clock() >= key.expires
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
