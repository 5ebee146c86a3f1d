"""All that the routes of one console share."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlsplit

from spice.config import Config
from spice.console.actions import Actions, SignerFor
from spice.console.bearer import Bearers
from spice.console.csrf import Csrf
from spice.console.federation import Federation, open_issuers
from spice.console.identity import Door, Identity
from spice.console.limits import RateLimit
from spice.console.login import Logins
from spice.console.sessions import Secrets
from spice.console.views.runs import Reader
from spice.console.watch import Watch
from spice.errors import ConfigError
from spice.store.base import ObjectStore
from spice.trust.ledger import Clock

_LOGINS_PER_MINUTE = 20
_STOPS_PER_MINUTE = 30
_TOKENS_PER_MINUTE = 120


@dataclass(frozen=True)
class Console:
    """One console.

    Attributes:
        store: what it shows.
        config: promotion rules and the console's own settings.
        clock: the time of day.
        origins: its own addresses, such as `https://spice.example.org`.
        watch: its view of the ledger.
        runs: reads runs.
        sessions: who is logged in.
        logins: who is about to, with their key.
        federation: who is about to, at a provider.
        notices: what was done, to be said once on the next page.
        door: tells who sent a request.
        csrf: tells whether they meant it.
        actions: what they can do.
        action_limit: how often one person may act.
        stop_limit: how often one person may engage the switch; apart, so that nothing else uses it up.
        login_limit: how often one address may try to log in.
    """

    store: ObjectStore
    config: Config
    clock: Clock
    origins: frozenset[str]
    watch: Watch
    runs: Reader
    sessions: Secrets[Identity]
    logins: Logins
    federation: Federation
    notices: Secrets[str]
    door: Door
    csrf: Csrf
    actions: Actions
    action_limit: RateLimit
    stop_limit: RateLimit
    login_limit: RateLimit

    @property
    def secure(self) -> bool:
        """Whether cookies may travel over TLS only."""
        return all(origin.startswith("https://") for origin in self.origins)

    @property
    def hosts(self) -> frozenset[str]:
        """What the `Host` header may say. Another name would let a stranger's site pass as ours (DNS rebinding)."""
        return frozenset(urlsplit(origin).netloc for origin in self.origins)


def open_console(
    store: ObjectStore,
    config: Config,
    signer_for: SignerFor,
    clock: Clock,
    bound: str,
    stopwatch: Callable[[], float] = time.monotonic,
) -> Console:
    """Put a console together.

    Args:
        store: what it shows.
        config: promotion rules and the console's own settings.
        signer_for: whose key signs for a person.
        clock: the time of day.
        bound: host and port that it listens on, `127.0.0.1:8080`.
        stopwatch: seconds from anywhere, for rates.

    Raises:
        ConfigError: a setting of the console is not what it must be.
    """
    origins = _origins(config.console.url, bound)
    provider, issuers = open_issuers(config.console, clock)
    bearers = Bearers(issuers, RateLimit(_TOKENS_PER_MINUTE, stopwatch), clock)
    sessions: Secrets[Identity] = Secrets(timedelta(hours=config.console.session_hours), clock)
    return Console(
        store=store,
        config=config,
        clock=clock,
        origins=origins,
        watch=Watch(store, clock, stopwatch),
        runs=Reader(store),
        sessions=sessions,
        logins=Logins(store, clock),
        federation=Federation(provider, clock),
        notices=Secrets(timedelta(minutes=1), clock),
        door=Door(store, config.console, sessions, bearers),
        csrf=Csrf(origins),
        actions=Actions(store, config.promotion, signer_for, clock),
        action_limit=RateLimit(config.console.actions_per_minute, stopwatch),
        stop_limit=RateLimit(_STOPS_PER_MINUTE, stopwatch),
        login_limit=RateLimit(_LOGINS_PER_MINUTE, stopwatch),
    )


def _origins(url: str | None, bound: str) -> frozenset[str]:
    """The configured address alone; without one the address that is listened on, by all its names."""
    if url is not None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/"):
            raise ConfigError(f"console.url: {url!r} is no address such as https://spice.example.org (without a path).")
        return frozenset({f"{parts.scheme}://{parts.netloc}"})
    host, _, port = bound.rpartition(":")
    names = {host}
    if host == "localhost" or _is_loopback(host):
        names |= {"localhost", "127.0.0.1"}
    return frozenset(f"http://{name}:{port}" for name in names)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
