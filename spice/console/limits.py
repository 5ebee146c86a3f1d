"""How often one person, or one address, may do something."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

_KEYS = 10_000  # remembered at most; whoever was quiet longest is forgotten first, with a full allowance


class RateLimit:
    """A token bucket per key: `burst` at once, refilled at `per_minute`.

    Args:
        per_minute: the lasting rate.
        stopwatch: seconds from anywhere, never going back.
        burst: how many at once; `per_minute` if not given.
    """

    def __init__(self, per_minute: int, stopwatch: Callable[[], float], burst: int | None = None) -> None:
        self._rate = per_minute / 60.0
        self._burst = float(burst or per_minute)
        self._stopwatch = stopwatch
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # key -> tokens, when
        self._lock = threading.Lock()

    def wait(self, key: str) -> float:
        """Take one token: 0 if there was one, else the seconds until there is one."""
        now = self._stopwatch()
        with self._lock:
            tokens, since = self._buckets.pop(key, (self._burst, now))
            tokens = min(self._burst, tokens + (now - since) * self._rate)
            taken = tokens >= 1.0
            self._buckets[key] = (tokens - 1.0 if taken else tokens, now)
            if len(self._buckets) > _KEYS:
                self._buckets.popitem(last=False)
        return 0.0 if taken else (1.0 - tokens) / self._rate
