"""Who is asking: by a login with their key, or by the word of a gateway that is configured to be believed.

A gateway or a session says who somebody is. What they may do is read from the keys registered in the store, at every
request; for people who have no key, from the setting `console.roles`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from pydantic import ValidationError

from spice.config import ConsoleConfig
from spice.console.sessions import Secrets
from spice.errors import ConfigError, RefusedError
from spice.store.base import ObjectStore
from spice.trust.keyring import Keyring
from spice.trust.principal import Principal, Role


@dataclass(frozen=True)
class Person:
    """Somebody who proved who they are.

    Attributes:
        principal: their name, what they may do, and how they proved it.
        registered: the name of their registered key, or `None`.
        secret: what their CSRF tokens are bound to.
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


class Door:
    """Tells who sent a request.

    Args:
        store: whose keys count.
        config: which gateways are believed, and what people without a key may do.
        sessions: who is logged in.
        issuer: this console's own address, which vouches for logins.

    Raises:
        ConfigError: `console.proxies` or `console.roles` is not what it must be.
    """

    def __init__(self, store: ObjectStore, config: ConsoleConfig, sessions: Secrets[str], issuer: str) -> None:
        self._store = store
        self._header = config.user_header.lower()
        self._sessions = sessions
        self._issuer = issuer
        self._networks = _networks(config.proxies)
        self._roles = _roles(config.roles)

    def who(self, address: str, headers: Mapping[str, str], session: str | None) -> Person | None:
        """Whoever sent a request, or `None` if they did not prove who they are.

        Args:
            address: of the machine that connected to us.
            headers: by lower-case name.
            session: the session cookie.
        """
        claimed = headers.get(self._header)
        if claimed and self._believed(address):
            return self._named_by_gateway(claimed, address)
        name = self._sessions.get(session) if session else None
        return self._logged_in(name, str(session)) if name else None

    def _believed(self, address: str) -> bool:
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(found in network for network in self._networks)

    def _logged_in(self, name: str, session: str) -> Person | None:
        try:
            key = Keyring(self._store).get(name)
        except RefusedError:
            return None
        principal = Principal(name=name, method="key", issuer=self._issuer, roles=key.roles, groups=key.groups)
        return Person(principal, name, session)

    def _named_by_gateway(self, claimed: str, address: str) -> Person | None:
        registered: str | None = None
        roles: tuple[Role, ...] = self._roles.get(claimed, ())
        groups: tuple[str, ...] = ()
        keyring = Keyring(self._store)
        for name in keyring.names():
            try:
                key = keyring.get(name)
            except RefusedError:
                continue  # a record that counts for nothing is nobody's
            if claimed in (name, *key.identities):
                registered, roles, groups = name, key.roles, key.groups
        try:
            principal = Principal(
                name=registered or claimed, method="header", issuer=address, roles=roles, groups=groups
            )
        except ValidationError:
            return None  # unknown here, or no name at all
        return Person(principal, registered, f"{self._header}:{claimed}")


def _networks(proxies: Sequence[str]) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    try:
        return [ipaddress.ip_network(proxy) for proxy in proxies]
    except ValueError as error:
        raise ConfigError(
            f"console.proxies: {error}. Give addresses or networks, such as 10.0.0.7 or 10.0.0.0/24."
        ) from error


def _roles(pairs: Sequence[str]) -> dict[str, tuple[Role, ...]]:
    known = [role for role in get_args(Role) if role != "delegate"]
    found = {}
    for pair in pairs:
        identity, _, names = pair.rpartition("=")
        wanted = names.split("+")
        if not identity or not set(wanted) <= set(known):
            raise ConfigError(
                f"console.roles: {pair!r} is no identity=role+role, such as anna@example.org=approver. "
                f"The roles are {', '.join(known)}."
            )
        found[identity] = tuple(role for role in known if role in wanted)
    return found
