"""Whether a person meant to do what their browser asks for.

Three checks, each of which stops another site from acting through somebody's browser: cookies are `SameSite=Strict`,
the browser's `Origin` must be ours, and a token must come with the request that only our own pages hold. The token is
bound to the session (or to the gateway's identity) by HMAC and to a cookie of its own.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Collection, Mapping

from spice.console.identity import Person
from spice.errors import RefusedError


class Csrf:
    """Makes and checks the tokens of one console; `origins` are its own addresses."""

    def __init__(self, origins: Collection[str]) -> None:
        self._origins = origins
        self._key = secrets.token_bytes(32)

    def cookie(self) -> str:
        """The value of a new cookie."""
        return secrets.token_urlsafe(24)

    def token(self, cookie: str, person: Person | None) -> str:
        """What the forms shown to that person hold."""
        message = f"{cookie}\0{person.secret if person else ''}".encode()
        return hmac.new(self._key, message, hashlib.sha256).hexdigest()

    def check(self, headers: Mapping[str, str], cookie: str, token: str, person: Person | None) -> None:
        """Raise `RefusedError` unless the request comes from our own page, as it was shown to that person."""
        origin = headers.get("origin", "")
        if origin not in self._origins or headers.get("sec-fetch-site", "same-origin") != "same-origin":
            raise RefusedError("This was not asked for on a page of this console, so nothing was done.")
        if not cookie or not hmac.compare_digest(self.token(cookie, person).encode(), token.encode()):
            raise RefusedError(
                "This page was opened before you logged in or out, or too long ago. Nothing was done. Load it again."
            )
