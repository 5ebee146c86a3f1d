"""An OpenID Connect provider: logging in with the Authorization Code flow and PKCE, and ID tokens as bearer tokens.

https://openid.net/specs/openid-connect-core-1_0.html. What must hold of an ID
token is checked by Authlib, its signature by joserfc. The console stays without
an access token: it only wants to know who somebody is.
"""

from __future__ import annotations

import base64
import binascii
import json
import threading
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

import urllib3
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet
from pydantic import BaseModel, ConfigDict, Field

from spice.config import ConsoleConfig
from spice.console.ask import ask, is_secure, open_http
from spice.console.errors import UnauthenticatedError, UnavailableError
from spice.console.identity import Identity
from spice.errors import ConfigError
from spice.trust.ledger import Clock

ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"]
_LEEWAY_SECONDS = 60
_KEEP = timedelta(hours=1)  # what the provider says of itself
_PATIENCE = timedelta(seconds=30)  # between two looks for new keys, however many tokens name unknown ones


class _Said(BaseModel):
    model_config = ConfigDict(extra="ignore")


class Metadata(_Said):
    """What a provider says of itself."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)


class _Keys(_Said):
    keys: tuple[dict[str, Any], ...] = Field(min_length=1)


class _Tokens(_Said):
    id_token: str


class Provider:
    """The provider of `console.oidc_issuer`.

    Args:
        config: who it is, and as whom we ask.
        secret: of this client; empty for a public client, which PKCE alone protects.
        redirect: where it sends people back to.
        clock: tells which tokens are too old.
        http: connections.

    Raises:
        ConfigError: the settings do not name a provider and a client.
    """

    def __init__(
        self, config: ConsoleConfig, secret: str, redirect: str, clock: Clock, http: urllib3.PoolManager | None = None
    ) -> None:
        if not config.oidc_issuer or not config.oidc_client:
            raise ConfigError("console.oidc_issuer and console.oidc_client belong together; set both.")
        if not is_secure(config.oidc_issuer):
            raise ConfigError(
                f"console.oidc_issuer: {config.oidc_issuer!r} is no https address, such as https://login.example.org."
            )
        self.issuer = config.oidc_issuer
        self._client = config.oidc_client
        self._config = config
        self._secret = secret
        self._redirect = redirect
        self._clock = clock
        self._http = http or open_http()
        self._lock = threading.Lock()
        self._metadata: tuple[Metadata, datetime] | None = None
        self._keys: tuple[KeySet, datetime] | None = None

    def address(self, state: str, nonce: str, verifier: str) -> str:
        """Where somebody logs in; the provider sends them back with a code and `state`.

        Args:
            state: comes back in the address.
            nonce: comes back in the ID token.
            verifier: its digest goes along, and whoever brings the code must know it (PKCE).
        """
        return str(
            prepare_grant_uri(
                self._about().authorization_endpoint,
                client_id=self._client,
                response_type="code",
                redirect_uri=self._redirect,
                scope=" ".join(dict.fromkeys(("openid", *self._config.oidc_scopes))),
                state=state,
                nonce=nonce,
                code_challenge=create_s256_code_challenge(verifier),
                code_challenge_method="S256",
            )
        )

    def finish(self, code: str, nonce: str, verifier: str) -> Identity:
        """Who logged in, for the code with which they came back.

        Raises:
            UnauthenticatedError: the provider does not vouch for them.
            UnavailableError: it cannot be asked, or refused the code.
        """
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect,
            "code_verifier": verifier,
        }
        headers = {}
        if not self._secret:
            form["client_id"] = self._client
        elif "client_secret_basic" in self._about().token_endpoint_auth_methods_supported:
            pair = f"{quote(self._client, safe='')}:{quote(self._secret, safe='')}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        else:
            form |= {"client_id": self._client, "client_secret": self._secret}
        tokens = ask(self._http, _Tokens, self._about().token_endpoint, form=form, headers=headers)
        return self._verified(tokens.id_token, nonce)

    def identify(self, token: str) -> Identity | None:
        """Who bears an ID token of this provider for this console; `None` if another issued it.

        Raises:
            UnauthenticatedError: it names this provider and does not count.
            UnavailableError: the provider's keys cannot be read.
        """
        return self._verified(token, None) if _claimed_issuer(token) == self.issuer else None

    def _verified(self, token: str, nonce: str | None) -> Identity:
        try:
            found = self._decoded(token)
            claims = CodeIDToken(
                found.claims,
                found.header,
                options={
                    "iss": {"essential": True, "value": self.issuer},
                    "aud": {"essential": True, "value": self._client},
                },
                params={"client_id": self._client, "nonce": nonce},
            )
            claims.validate(now=int(self._clock().timestamp()), leeway=_LEEWAY_SECONDS)
        except (JoseError, ValueError) as error:
            raise UnauthenticatedError(f"This token of {self.issuer} does not count: {error}") from error
        return Identity(
            name=self._name(claims),
            method="oidc",
            issuer=self.issuer,
            groups=_words(claims.get(self._config.oidc_groups_claim)),
        )

    def _decoded(self, token: str) -> jwt.Token:
        """The token with its signature checked; keys are read again for one that names a key we have not seen."""
        try:
            return jwt.decode(token, self._key_set(_KEEP), algorithms=ALGORITHMS)
        except InvalidKeyIdError:
            return jwt.decode(token, self._key_set(_PATIENCE), algorithms=ALGORITHMS)

    def _name(self, claims: Mapping[str, Any]) -> str:
        claim = self._config.oidc_user_claim
        name = claims.get(claim)
        if not isinstance(name, str) or not name:
            raise UnauthenticatedError(f"The token of {self.issuer} has no claim {claim} (console.oidc_user_claim).")
        if claim == "email" and claims.get("email_verified") is not True:
            raise UnauthenticatedError(f"{self.issuer} does not say that {name} is a verified address.")
        return name

    def _about(self) -> Metadata:
        """What the provider says of itself, which must be this provider."""
        with self._lock:
            if self._metadata is None or self._clock() >= self._metadata[1] + _KEEP:
                url = f"{self.issuer.rstrip('/')}/.well-known/openid-configuration"
                found = ask(self._http, Metadata, url)
                if found.issuer != self.issuer:
                    raise UnavailableError(f"{url} speaks for {found.issuer}, not for {self.issuer}.")
                for address in (found.authorization_endpoint, found.token_endpoint, found.jwks_uri):
                    if not is_secure(address):
                        raise UnavailableError(f"{url} names {address}, which is no https address.")
                self._metadata = found, self._clock()
            return self._metadata[0]

    def _key_set(self, keep: timedelta) -> KeySet:
        about = self._about()
        with self._lock:
            if self._keys is None or self._clock() >= self._keys[1] + keep:
                found = ask(self._http, _Keys, about.jwks_uri)
                try:
                    keys = KeySet.import_key_set({"keys": list(found.keys)})
                except (JoseError, ValueError) as error:
                    raise UnavailableError(f"{about.jwks_uri} holds no keys: {error}") from error
                self._keys = keys, self._clock()
            return self._keys[0]


def _claimed_issuer(token: str) -> str:
    """Who issued a token by its own word; nothing of it is verified."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return str(claims["iss"])
    except (IndexError, KeyError, TypeError, ValueError, binascii.Error):
        return ""


def _words(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    return tuple(word for word in value if isinstance(word, str)) if isinstance(value, Sequence) else ()
