"""Who is asking: by a login, by a token, or by the word of a gateway that is configured to be believed.

Each of these says who somebody is. What they may do is read from the keys registered in the store, at every request;
for people who have no key, from the settings `console.roles` and `console.group_roles`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

from pydantic import TypeAdapter, ValidationError

from spice.config import ConsoleConfig
from spice.console.sessions import Secrets
from spice.errors import ConfigError, RefusedError
from spice.store.base import ObjectStore
from spice.trust.keyring import Keyring, PublicKey
from spice.trust.principal import Label, Principal, Role

_LABEL: TypeAdapter[str] = TypeAdapter(Label)


@dataclass(frozen=True)
class Identity:
    """Who somebody is, and nothing of what they may do.

    Attributes:
        name: what they are called there: the name of a key, an address, a Kubernetes user.
        method: how they proved it.
        issuer: who vouches.
        groups: of the organisation, as far as the issuer told.
    """

    name: str
    method: Literal["key", "oidc", "kubernetes", "header"]
    issuer: str
    groups: tuple[str, ...] = ()


@dataclass(frozen=True)
class Person:
    """Somebody who proved who they are, and may do something.

    Attributes:
        principal: their name, what they may do, and how they proved it.
        registered: the name of their registered key, or `None`.
        secret: what their CSRF tokens are bound to; empty for the bearer of a token, whom no other site can make act.
    """

    principal: Principal
    registered: str | None
    secret: str

    @property
    def name(self) -> str:
        """What the ledger calls them."""
        return self.principal.name

    @property
    def roles(self) -> tuple[Role, ...]:
        """What they may do."""
        return self.principal.roles


class Tokens(Protocol):
    """Says who bears the token of a request; see `spice.console.bearer.Bearers`."""

    def identify(self, headers: Mapping[str, str], address: str) -> Identity | None:
        """Whoever it is, or `None` without a token. Raises a `SpiceError` for a token that does not count."""
        ...


class Door:
    """Tells who sent a request.

    Args:
        store: whose keys count.
        config: which gateways are believed, and what people without a key may do.
        sessions: who is logged in.
        tokens: tells who bears a token.

    Raises:
        ConfigError: `console.proxies`, `console.roles` or `console.group_roles` is not what it must be.
    """

    def __init__(self, store: ObjectStore, config: ConsoleConfig, sessions: Secrets[Identity], tokens: Tokens) -> None:
        self._store = store
        self._header = config.user_header.lower()
        self._sessions = sessions
        self._tokens = tokens
        self._networks = _networks(config.proxies)
        self._roles = _roles(config.roles, "console.roles")
        self._group_roles = _roles(config.group_roles, "console.group_roles")

    def who(self, address: str, headers: Mapping[str, str], session: str | None) -> Person | None:
        """Whoever sent a request, or `None` if they did not prove who they are or may do nothing.

        Args:
            address: of the machine that connected to us.
            headers: by lower-case name.
            session: the session cookie.

        Raises:
            UnauthenticatedError: a token came along that does not count.
            UnavailableError: whoever issued it cannot be asked.
        """
        claimed = headers.get(self._header)
        if claimed and self._believed(address):
            return self.person(Identity(claimed, "header", address), f"{self._header}:{claimed}")
        if bearer := self._tokens.identify(headers, address):
            return self.person(bearer, "")
        identity = self._sessions.get(session) if session else None
        return self.person(identity, str(session)) if identity else None

    def person(self, identity: Identity, secret: str) -> Person | None:
        """What `identity` may do here, or `None` if that is nothing."""
        key = self._key_of(identity)
        name = key.name if key else identity.name
        if key is None and Keyring(self._store).registered(name):
            return None  # a stranger whom their provider calls by the name of somebody's key
        roles = key.roles if key else self._granted(identity)
        groups = key.groups if key else tuple(group for group in identity.groups if _is_label(group))
        try:
            principal = Principal(name=name, method=identity.method, issuer=identity.issuer, roles=roles, groups=groups)
        except ValidationError:
            return None  # without a role, or no name at all
        return Person(principal, key.name if key else None, secret)

    def _believed(self, address: str) -> bool:
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(found in network for network in self._networks)

    def _key_of(self, identity: Identity) -> PublicKey | None:
        """The key of that person. Only a login with a key and a gateway name it; others name an identity of its owner.

        A provider's users may be free to choose what they are called, and must not become somebody by that.
        """
        keyring = Keyring(self._store)
        names = (identity.name,) if identity.method == "key" else keyring.names()
        for name in names:
            try:
                key = keyring.get(name)
            except RefusedError:
                continue  # a record that counts for nothing is nobody's
            by_name = identity.method in ("key", "header") and identity.name == name
            if by_name or (identity.method != "key" and identity.name in key.identities):
                return key
        return None

    def _granted(self, identity: Identity) -> tuple[Role, ...]:
        if identity.method == "key":
            return ()
        granted = {
            *self._roles.get(identity.name, ()),
            *(role for group in identity.groups for role in self._group_roles.get(group, ())),
        }
        return tuple(role for role in get_args(Role) if role in granted)


def _is_label(text: str) -> bool:
    """Whether the ledger can hold it; a group that it cannot hold is one that counts for nothing."""
    try:
        _LABEL.validate_python(text)
    except ValidationError:
        return False
    return True


def _networks(proxies: Sequence[str]) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    try:
        return [ipaddress.ip_network(proxy) for proxy in proxies]
    except ValueError as error:
        raise ConfigError(
            f"console.proxies: {error}. Give addresses or networks, such as 10.0.0.7 or 10.0.0.0/24."
        ) from error


def _roles(pairs: Sequence[str], setting: str) -> dict[str, tuple[Role, ...]]:
    known = [role for role in get_args(Role) if role != "delegate"]
    found = {}
    for pair in pairs:
        identity, _, names = pair.rpartition("=")
        wanted = names.split("+")
        if not identity or not set(wanted) <= set(known):
            raise ConfigError(
                f"{setting}: {pair!r} is no name=role+role, such as anna@example.org=approver. "
                f"The roles are {', '.join(known)}."
            )
        found[identity] = tuple(role for role in known if role in wanted)
    return found
