"""Who is logged in. Kept in memory: a restart of the console logs everybody out and loses nothing else."""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from spice.trust.ledger import Clock

_HELD = 10_000

T = TypeVar("T")


class Secrets(Generic[T]):
    """Values held under unguessable tokens for a limited time; only the tokens' digests are kept.

    Args:
        lifetime: of each.
        clock: the time of day.
        held: most at once; the oldest goes first.
    """

    def __init__(self, lifetime: timedelta, clock: Clock, held: int = _HELD) -> None:
        self._lifetime = lifetime
        self._clock = clock
        self._most = held
        self._held: OrderedDict[str, _Held[T]] = OrderedDict()
        self._lock = threading.Lock()

    def issue(self, value: T) -> str:
        """Hold `value` under a new token of 256 random bits."""
        token = secrets.token_urlsafe(32)
        with self._lock:
            self._held[_digest(token)] = _Held(value, self._clock() + self._lifetime)
            if len(self._held) > self._most:
                self._held.popitem(last=False)
        return token

    def get(self, token: str) -> T | None:
        """What is held under `token`, if it has not expired."""
        with self._lock:
            return self._fresh(self._held.get(_digest(token)))

    def take(self, token: str) -> T | None:
        """The same, for the last time."""
        with self._lock:
            return self._fresh(self._held.pop(_digest(token), None))

    def _fresh(self, held: _Held[T] | None) -> T | None:
        return held.value if held and self._clock() < held.expires else None


@dataclass(frozen=True)
class _Held(Generic[T]):
    value: T
    expires: datetime


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
