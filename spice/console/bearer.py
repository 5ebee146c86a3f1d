"""Bearer tokens: who sent a request, by the word of whoever issued the token that comes with it."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from spice.console.errors import TooManyError, UnauthenticatedError
from spice.console.identity import Identity
from spice.console.limits import RateLimit
from spice.trust.ledger import Clock

_REMEMBER = timedelta(seconds=10)  # a token that its issuer takes back is refused this much later at most
_REMEMBERED = 1000


class Issuer(Protocol):
    """Whoever can say whose a token is."""

    def identify(self, token: str) -> Identity | None:
        """Who bears it; `None` if another issued it. Raises `UnauthenticatedError`, `UnavailableError`."""
        ...


class Bearers:
    """Asks each issuer in turn, and remembers its answer for some seconds.

    Args:
        issuers: in the order in which they are asked.
        limit: of unknown tokens from one address.
        clock: the time of day.
    """

    def __init__(self, issuers: Sequence[Issuer], limit: RateLimit, clock: Clock) -> None:
        self._issuers = tuple(issuers)
        self._limit = limit
        self._clock = clock
        self._seen: OrderedDict[str, tuple[Identity, datetime]] = OrderedDict()
        self._lock = threading.Lock()

    def identify(self, headers: Mapping[str, str], address: str) -> Identity | None:
        """Who bears the token of a request; `None` if it has none, or none is ever accepted here.

        Args:
            headers: of the request, by lower-case name.
            address: from where it came.

        Raises:
            UnauthenticatedError: nobody vouches for the bearer.
            TooManyError: too many tokens from there that were not seen before.
            UnavailableError: an issuer cannot be asked.
        """
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not self._issuers:
            return None
        token = token.strip()
        known = hashlib.sha256(token.encode()).hexdigest()
        with self._lock:
            found = self._seen.get(known)
        if found and self._clock() < found[1]:
            return found[0]
        if seconds := self._limit.wait(address):
            raise TooManyError(seconds)
        identity = self._asked(token)
        with self._lock:
            self._seen[known] = identity, self._clock() + _REMEMBER
            if len(self._seen) > _REMEMBERED:
                self._seen.popitem(last=False)
        return identity

    def _asked(self, token: str) -> Identity:
        for issuer in self._issuers:
            if identity := issuer.identify(token):
                return identity
        raise UnauthenticatedError("This token was issued by nobody whom this console believes.")
