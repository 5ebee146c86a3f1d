"""Logins that others vouch for: begun here, done at their provider, ended here by the browser that began."""

from __future__ import annotations

import hmac
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from spice.config import ConsoleConfig
from spice.console.bearer import Issuer
from spice.console.errors import UnauthenticatedError
from spice.console.identity import Identity
from spice.console.sessions import Secrets
from spice.errors import ConfigError
from spice.trust.ledger import Clock

RETURN = "/login/oidc/return"  # where a provider sends people back to
SECRET = "SPICE_OIDC_CLIENT_SECRET"
PATIENCE = timedelta(minutes=10)


class Provider(Protocol):
    """Where people log in; see `spice.console.oidc.Provider`."""

    @property
    def issuer(self) -> str:
        """Its address, which it signs for."""
        ...

    def address(self, state: str, nonce: str, verifier: str) -> str:
        """Where to send a browser."""
        ...

    def finish(self, code: str, nonce: str, verifier: str) -> Identity:
        """Who came back with `code`."""
        ...

    def identify(self, token: str) -> Identity | None:
        """Who bears an ID token."""
        ...


@dataclass(frozen=True)
class _Attempt:
    """A login that was begun: what binds its end to its beginning."""

    nonce: str
    verifier: str
    browser: str


class Federation:
    """The logins that are under way at one provider, if there is one."""

    def __init__(self, provider: Provider | None, clock: Clock) -> None:
        self.provider = provider
        self._attempts: Secrets[_Attempt] = Secrets(PATIENCE, clock)

    def begin(self) -> tuple[str, str]:
        """Where to send a browser, and a cookie for it that shows later that it was the same one.

        Raises:
            UnauthenticatedError: nobody logs in this way here.
            UnavailableError: the provider does not answer.
        """
        provider = self._required()
        attempt = _Attempt(secrets.token_urlsafe(32), secrets.token_urlsafe(48), secrets.token_urlsafe(32))
        state = self._attempts.issue(attempt)
        return provider.address(state, attempt.nonce, attempt.verifier), attempt.browser

    def finish(self, state: str, browser: str, code: str) -> Identity:
        """Who came back.

        Args:
            state: from the address that the provider sent the browser to.
            browser: the cookie.
            code: from that address.

        Raises:
            UnauthenticatedError: this browser began no such login, or too long ago, or the provider vouches for nobody.
            UnavailableError: the provider cannot be asked.
        """
        provider = self._required()
        attempt = self._attempts.take(state)
        if attempt is None or not hmac.compare_digest(attempt.browser.encode(), browser.encode()):
            raise UnauthenticatedError("This login was not begun here in this browser, or too long ago. Begin again.")
        return provider.finish(code, attempt.nonce, attempt.verifier)

    def _required(self) -> Provider:
        if self.provider is None:
            raise UnauthenticatedError("Nobody logs in to this console with a provider; see console.oidc_issuer.")
        return self.provider


def open_issuers(
    config: ConsoleConfig, clock: Clock, environ: Mapping[str, str] = os.environ
) -> tuple[Provider | None, list[Issuer]]:
    """The provider for logins, and everybody whose tokens are accepted.

    Raises:
        ConfigError: the settings are not complete, or a package is missing.
    """
    provider: Provider | None = None
    issuers: list[Issuer] = []
    if config.oidc_issuer:
        if not config.url:
            raise ConfigError("console.oidc_issuer needs console.url: the provider sends people back to that address.")
        try:
            from spice.console import oidc
        except ModuleNotFoundError as error:
            raise ConfigError(
                f"console.oidc_issuer needs {error.name}, which is not installed: pip install 'spice-platform[console]'"
            ) from error
        provider = oidc.Provider(config, environ.get(SECRET, ""), config.url.rstrip("/") + RETURN, clock)
        issuers.append(provider)
    if config.kubernetes_tokens:
        from spice.console.tokenreview import Reviewer

        issuers.append(Reviewer.in_cluster(config, environ=environ))
    return provider, issuers
