"""Reads the store again and again, and shows Prometheus what it found.

A scrape never waits for the store: it gets what the last reading found, and how old that is. A store that cannot be
reached, or a damaged object in it, is a metric and no failure of the exporter.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from spice.config import Config
from spice.errors import ConfigError, StoreError
from spice.monitoring import damage, evidence, governance, runs
from spice.monitoring.metrics import Family, Sample, exposition
from spice.store.base import ObjectStore
from spice.trust.records import ROOT
from spice.version import code_version

FAMILIES: tuple[Family, ...] = (
    Family("spice_build_info", "The version of SPICE that exports.", ("version",)),
    Family("spice_store_up", "Whether the last reading of the store came to its end."),
    Family("spice_store_empty", "Whether there is no key, run or evidence: it is new, or its address is mistyped."),
    Family("spice_store_errors_total", "Readings of the store that failed.", (), "counter"),
    Family("spice_refresh_timestamp_seconds", "When the store was last read to the end."),
    Family("spice_refresh_duration_seconds", "How long that took."),
    *damage.FAMILIES,
    *governance.FAMILIES,
    *evidence.FAMILIES,
    *runs.FAMILIES,
)

Clock = Callable[[], float]
_log = logging.getLogger(__name__)


class Exporter(Collector):
    """What is known of a store.

    Args:
        store: which.
        config: sections `monitoring`, `drift` and `promotion`.
        clock: seconds since the epoch.
    """

    def __init__(self, store: ObjectStore, config: Config, clock: Clock) -> None:
        self._store, self._config, self._clock = store, config.monitoring, clock
        self._damage = damage.Damage()
        self._governance = governance.Governance(store, config.promotion, config.monitoring, self._damage)
        self._evidence = evidence.Evidence(store, self._damage)
        self._runs = runs.Runs(store, config.monitoring, config.drift, self._damage)
        self._discovered_at = self._refreshed_at = self._took = 0.0
        self._errors = 0
        self._up = self._empty = False
        self._published: list[Sample] = []

    def refresh(self) -> None:
        """Read what is new in the store. Never raises because of what the store holds or that it is out of reach."""
        began = self._clock()
        try:
            self._governance.refresh(began)
            if began - self._discovered_at >= self._config.discovery_seconds:
                self._runs.discover(began)
                self._evidence.discover(self._governance.keyring)
                self._discovered_at = began
                self._look_whether_empty()
            self._runs.refresh()
        except StoreError as error:
            _log.warning("%s", error)
            self._governance.lose_sight()
            self._up, self._errors = False, self._errors + 1
        else:
            self._up, self._refreshed_at = True, self._clock()
            self._took = self._refreshed_at - began
        self._published = list(self._samples())

    def describe(self) -> Iterator[Metric]:
        """Every metric that there may be."""
        return exposition(FAMILIES, ())

    def collect(self) -> Iterator[Metric]:
        """What the last refresh found."""
        return exposition(FAMILIES, self._published)

    def _look_whether_empty(self) -> None:
        """A mistyped address of a folder, or of a prefix in a bucket, reads like a store that is quite new."""
        empty = self._runs.empty and self._evidence.empty and self._store.read(ROOT) is None
        if empty and not self._empty:
            _log.error("%s holds no key, run or evidence. It is new, or store.url is mistyped.", self._store.url)
        self._empty = empty

    def _samples(self) -> Iterator[Sample]:
        yield Sample("spice_build_info", 1, {"version": code_version()})
        yield Sample("spice_store_up", self._up)
        yield Sample("spice_store_empty", self._empty)
        yield Sample("spice_store_errors_total", self._errors)
        if self._refreshed_at:
            yield Sample("spice_refresh_timestamp_seconds", self._refreshed_at)
            yield Sample("spice_refresh_duration_seconds", self._took)
        yield from self._damage.samples()
        yield from self._governance.samples()
        yield from self._evidence.samples()
        yield from self._runs.samples()


def serve(exporter: Exporter, host: str, port: int, seconds: float, stop: threading.Event) -> None:
    """Answer scrapes at `http://host:port/metrics`, and refresh every `seconds`, until `stop` is set.

    Raises:
        ConfigError: nothing can listen there.
    """
    registry = CollectorRegistry()
    registry.register(exporter)
    exporter.refresh()
    try:
        server, thread = start_http_server(port, host, registry)
    except OSError as error:
        raise ConfigError(f"Cannot listen on {host}:{port}: {error.strerror}. Choose another --port.") from error
    try:
        while not stop.wait(seconds):
            exporter.refresh()
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
