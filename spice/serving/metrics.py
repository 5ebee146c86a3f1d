"""What the gateway counts, for Prometheus. Releases are labelled by the first 12 digits of their digest."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)


class Metrics:
    """The gateway's metrics, in a registry of their own.

    Attributes:
        requests: answers by route, release (empty if none answered) and HTTP status.
        seconds: time to the whole answer, by route and release.
        first_seconds: time to the first piece of a stream, by release.
        tokens: tokens read and written, by release and direction, as far as the back end says.
        active: requests being answered, by release.
        waiting: requests waiting for their turn.
        cut: answers cut because their release was revoked.
        loads: releases that were loaded or refused.
    """

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.requests = self._counter("requests", "Answers by status", "route", "release", "status")
        self.seconds = self._histogram("request_seconds", "Time to the whole answer", "route", "release")
        self.first_seconds = self._histogram("first_piece_seconds", "Time to the first piece of a stream", "release")
        self.tokens = self._counter("tokens", "Tokens read and written", "release", "direction")
        self.active = self._gauge("active_requests", "Requests being answered", "release")
        self.waiting = self._gauge("waiting_requests", "Requests waiting for their turn")
        self.cut = self._counter("cut_answers", "Answers cut because their release was revoked")
        self.loads = self._counter("release_loads", "Releases loaded or refused", "outcome")
        self.store_age = self._gauge("store_age_seconds", "Time since the store was last read whole")
        self._live = self._gauge("live_release", "1 for the release that may answer", "release")
        self._engaged = self._gauge("switch_engaged", "1 while the kill-switch or a drill is on")

    def show_live(self, ref: str | None, *, engaged: bool) -> None:
        """Say what may answer."""
        self._live.clear()
        if ref is not None:
            self._live.labels(short(ref)).set(1)
        self._engaged.set(engaged)

    def text(self) -> bytes:
        """All of them, in Prometheus' text format."""
        return generate_latest(self._registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"spice_gateway_{name}", text, labels, registry=self._registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"spice_gateway_{name}", text, labels, registry=self._registry)

    def _histogram(self, name: str, text: str, *labels: str) -> Histogram:
        return Histogram(f"spice_gateway_{name}", text, labels, registry=self._registry, buckets=_BUCKETS)


def short(ref: str | None) -> str:
    """The label of a release."""
    return ref.rpartition("/")[2][:12] if ref else ""
