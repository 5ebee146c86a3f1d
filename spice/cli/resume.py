"""Runs that are stopped and go on: their names, their settings, and what Ctrl-C says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import TYPE_CHECKING

from spice.cli.common import again
from spice.config.names import require_run_name
from spice.errors import NotFoundError, RefusedError, SpiceError, StoreError, TrainingError

if TYPE_CHECKING:
    from spice.config import Config
    from spice.store import ObjectStore


class Interrupted(SpiceError):
    """Ctrl-C in the middle of work that can be taken up again."""

    exit_code = 130


@contextmanager
def resumable(verb: str, run: str, config: Config, store: ObjectStore) -> Iterator[None]:
    """Say how to go on with the run when the block is left early: by Ctrl-C, by the store, or by the kill-switch.

    Ctrl-C becomes exit code 130. Nothing is promised of a run that has not begun.
    """
    command = f"spice {verb} --resume {run} {again(config)}"
    try:
        yield
    except KeyboardInterrupt as interrupt:
        if not _begun(store, run):
            raise
        raise Interrupted(f"interrupted; to go on, type: {command}") from interrupt
    except (StoreError, RefusedError) as error:
        if _begun(store, run):
            error.add_note(f"What was done is kept. Once that is settled, go on with: {command}")
        raise


def resumed(store: ObjectStore, run: str, config: Config) -> tuple[Config, str]:
    """The configuration and the dataset version that `run` was started with, so that it goes on as it began.

    Only where the store is comes from `config`: the same store may be mounted elsewhere by now.

    Raises:
        NotFoundError: there is no such run.
        TrainingError: what the store says of the run is not enough to go on.
    """
    from pydantic import ValidationError

    from spice.config import Config
    from spice.reporting import run_info

    corpus = run_info(store, run).corpus
    try:
        stored = Config.model_validate_json(store.get(f"runs/{run}/config.json"))
    except (NotFoundError, ValidationError) as error:
        raise TrainingError(f"run {run} in {store.url} has no usable config.json, so start anew: {error}") from error
    if corpus is None:
        raise TrainingError(f"run {run} in {store.url} does not say what it was trained on; start anew")
    return stored.model_copy(update={"store": config.store}), corpus


def run_name(given: str | None, dataset: str, now: datetime) -> str:
    """The name of a new run: the given one, or one that sorts by time, `factbook-20261123-021205`.

    Raises:
        ConfigError: the given name cannot be the name of a folder everywhere.
    """
    if given is None:
        return f"{dataset}-{now:%Y%m%d-%H%M%S}"
    return require_run_name(given)


def require_new(store: ObjectStore, run: str) -> None:
    """Refuse the name of a run that is there already, before any work is done for it."""
    if _begun(store, run):
        raise TrainingError(
            f"there is a run {run} in {store.url} already; go on with --resume {run}, or choose another name"
        )


def _begun(store: ObjectStore, run: str) -> bool:
    with suppress(StoreError):
        return store.head(f"runs/{run}/run.json") is not None
    return False
