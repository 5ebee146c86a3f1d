"""`spice run --on kubeflow`: the same run as a job of the pipeline `selfplay`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from spice.cli.resume import require_new, run_name
from spice.errors import ConfigError

if TYPE_CHECKING:
    from spice.cli.progress import Progress
    from spice.config import Config
    from spice.kubeflow.service import Submitted
    from spice.settings import Resolved

# The cluster has its own way to the store and to itself; all else means the same there as here.
_LOCAL = ("store.", "kubeflow.host", "kubeflow.namespace", "kubeflow.experiment")


def start(
    paths: Sequence[Path], name: str, new_run: str | None, key: str, preset: str, resolved: Resolved, report: Progress
) -> tuple[str, Submitted]:
    """Start a new run in the cluster. Documents on this machine are ingested here, since no pod can see them.

    Returns:
        The run's name, and the job.
    """
    from spice import stages
    from spice.store import open_store

    config = resolved.config
    store = open_store(_reachable(config).store)
    run = run_name(new_run, name, datetime.now(UTC))
    require_new(store, run)
    location = bucket(paths)
    if location is None:
        location = stages.ingest(paths, name, config, progress=report).ref
    return run, _submit(location, name, run, key, preset, resolved)


def go_on(run: str, key: str, preset: str, resolved: Resolved) -> Submitted:
    """Go on in the cluster with a run that was stopped; it keeps its documents and its settings."""
    from spice.errors import TrainingError
    from spice.reporting import run_info
    from spice.store import open_store

    corpus = run_info(open_store(_reachable(resolved.config).store), run).corpus
    if corpus is None:
        raise TrainingError(f"run {run} does not say what it was trained on; start anew")
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


def _reachable(config: Config) -> Config:
    if not config.store.url.startswith("s3://"):
        raise ConfigError(
            f"--on kubeflow needs a store that pods can reach, and {config.store.url} is a folder of this machine. "
            "Give --store s3://bucket/prefix."
        )
    return config


def _submit(documents: str, name: str, run: str, key: str, preset: str, resolved: Resolved) -> Submitted:
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
        "requester": key,
        "store": resolved.config.store.url,
    }
    return Service(kubeflow).submit("selfplay", arguments, run)
