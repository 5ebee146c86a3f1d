"""Kubeflow artifacts that stand for what lies in the store: its digest in the metadata, its manifest as content."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from spice.store import ObjectStore, artifacts
from spice.store.canonical import dumps
from spice.store.refs import digest_of


class Artifact(Protocol):
    """The part of a `kfp.dsl.Artifact` that is used here."""

    metadata: dict[str, Any]

    @property
    def path(self) -> str:
        """The local file that Kubeflow uploads when the task ends."""
        ...


class Metrics(Protocol):
    """The part of `kfp.dsl.Metrics` that is used here."""

    def log_metric(self, metric: str, value: float) -> None:
        """Show one figure in the Kubeflow UI."""
        ...


def describe(artifact: Artifact, store: ObjectStore, ref: str, **fields: Any) -> None:
    """Let `artifact` stand for the stored artifact `ref`: its address and digest, more `fields`, and its manifest.

    The bytes stay where they are. Only the store's own checks vouch for them, not a copy in Kubeflow's bucket.
    """
    artifact.metadata.update({"ref": ref, "digest": digest_of(ref), "store": store.url, **fields})
    write(artifact, dumps(artifacts.manifest(store, ref)).decode())


def write(artifact: Artifact, text: str) -> None:
    """Make `text` the content of an artifact, such as a page that the Kubeflow UI shows."""
    path = Path(artifact.path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


def log_metrics(metrics: Metrics, figures: Mapping[str, float]) -> None:
    """Show figures in the Kubeflow UI, where runs are compared by them."""
    for name, value in figures.items():
        metrics.log_metric(name, float(value))
