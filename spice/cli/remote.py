"""`spice run --on kubeflow`: the same run as a job of the pipeline `selfplay`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from spice.cli.resume import require_new, run_name
from spice.errors import ConfigError
from spice.trust.enrol import LOCAL

if TYPE_CHECKING:
    from spice.cli.progress import Progress
    from spice.settings import Resolved
    from spice.store import ObjectStore

# The cluster has its own way to the store and to itself; all else means the same there as here.
_LOCAL = ("store.", "kubeflow.host", "kubeflow.namespace", "kubeflow.experiment")


@dataclass(frozen=True)
class Started:
    """A run that goes on in the cluster."""

    run: str
    job: str
    page: str


def start(
    paths: Sequence[Path],
    name: str,
    new_run: str | None,
    key: str,
    preset: str,
    resolved: Resolved,
    report: Progress,
) -> Started:
    """Start a new run in the cluster. Documents on this machine are ingested here, since no pod can see them.

    Args:
        paths: folders and files of this machine, or one `s3://bucket/prefix`.
        name: of the dataset.
        new_run: name of the run, made up if `None`.
        key: who asks for the release.
        preset: the preset of the command line.
        resolved: the configuration.
        report: told how far ingesting is.

    Raises:
        ConfigError: the store is out of the cluster's reach, or the pipelines are not there.
        ClusterError: Kubeflow cannot be reached, or refused.
    """
    from spice import stages

    store = _reachable_store(resolved)
    run = run_name(new_run, name, datetime.now(UTC))
    require_new(store, run)
    location = bucket(paths)
    if location is None:
        location = stages.ingest(paths, name, resolved.config, progress=report).ref
    return _submit(location, name, run, key, preset, resolved)


def go_on(run: str, key: str, preset: str, resolved: Resolved) -> Started:
    """Go on in the cluster with a run that was stopped; it keeps its documents and its settings.

    Raises:
        NotFoundError: there is no such run.
        ClusterError: as `start` does.
    """
    from spice.cli.resume import resumed

    _, corpus = resumed(_reachable_store(resolved), run, resolved.config)
    return _submit(corpus, corpus.split("/")[1], run, key, preset, resolved)


def bucket(paths: Sequence[Path]) -> str | None:
    """The address `s3://bucket/prefix` if that is what was given in place of a folder.

    Raises:
        ConfigError: it stands beside others.
    """
    # A path holds no two slashes in a row.
    addresses = [f"s3://{str(path).removeprefix('s3:/')}" for path in paths if str(path).startswith("s3:/")]
    if addresses and len(paths) > 1:
        raise ConfigError("give one s3:// address, or folders and files of this machine")
    return addresses[0] if addresses else None


def assignments(resolved: Resolved) -> list[str]:
    """What was set besides the preset, as `--set` takes it."""
    from spice.settings import settings

    return [
        f"{one.key}={one.value if isinstance(one.value, str) else json.dumps(one.value)}"
        for one in settings(resolved)
        if one.origin != "default" and not one.origin.startswith("preset ") and not one.key.startswith(_LOCAL)
    ]


@contextmanager
def kubeflow_extra() -> Iterator[None]:
    """Say which package is missing where only the core is installed. Raises `ConfigError`."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"Kubeflow needs {error.name}, which is not installed: pip install 'spice-platform[kubeflow]'"
        ) from error


def _reachable_store(resolved: Resolved) -> ObjectStore:
    from spice.store import open_store

    url = resolved.config.store.url
    if not url.startswith("s3://"):
        raise ConfigError(
            f"--on kubeflow needs a store that pods can reach, and {url} is a folder of this machine. "
            "Give --store s3://bucket/prefix."
        )
    return open_store(resolved.config.store)


def _submit(documents: str, name: str, run: str, key: str, preset: str, resolved: Resolved) -> Started:
    with kubeflow_extra():
        from spice.kubeflow.service import Service

    kubeflow = resolved.config.kubeflow
    arguments = {
        "documents": documents,
        "name": name,
        "preset": preset,
        "settings": json.dumps(assignments(resolved)),
        "run": run,
        "launcher": kubeflow.launcher,
        "gpus": str(kubeflow.gpus),
        "store": resolved.config.store.url,
        # `local` is this machine's own key, which no pod has; the pipeline's default is the installation's.
        **({"requester": key} if key != LOCAL else {}),
    }
    job = Service(kubeflow).submit("selfplay", arguments, run)
    return Started(run, job.id, job.page)
