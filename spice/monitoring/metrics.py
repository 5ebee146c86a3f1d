"""What the parts of the exporter hand to Prometheus: families that are announced, and samples of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

FAMILY = {"gauge": GaugeMetricFamily, "counter": CounterMetricFamily}


@dataclass(frozen=True)
class Family:
    """A metric: its name as it is scraped, help text, label names and kind."""

    name: str
    help: str
    labels: tuple[str, ...] = ()
    kind: Literal["gauge", "counter"] = "gauge"


@dataclass(frozen=True)
class Sample:
    """One value of a family."""

    name: str
    value: float
    labels: dict[str, str] = field(default_factory=dict)


def exposition(families: Iterable[Family], samples: Iterable[Sample]) -> Iterator[Metric]:
    """The families that have samples, in their order, as the client library wants them."""
    by_name: dict[str, list[Sample]] = {}
    for sample in samples:
        by_name.setdefault(sample.name, []).append(sample)
    for family in families:
        metric = FAMILY[family.kind](family.name, family.help, labels=family.labels)
        for sample in by_name.pop(family.name, ()):
            metric.add_metric([sample.labels[name] for name in family.labels], sample.value)
        yield metric
    if by_name:
        raise ValueError(f"metrics without a family: {', '.join(sorted(by_name))}")
