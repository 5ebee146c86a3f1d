"""Runs that are stopped and go on: their names, their settings, and what Ctrl-C says."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

from spice.errors import NotFoundError, SpiceError, TrainingError

if TYPE_CHECKING:
    from spice.config import Config
    from spice.store import ObjectStore


class Interrupted(SpiceError):
    """Ctrl-C in the middle of work that can be taken up again."""

    exit_code = 130


@contextmanager
def resumable(verb: str, run: str, config: Config) -> Iterator[None]:
    """Turn Ctrl-C inside the block into exit code 130 and the command that goes on with the run."""
    try:
        yield
    except KeyboardInterrupt as interrupt:
        command = shlex.join(["spice", verb, "--resume", run, "--store", config.store.url])
        raise Interrupted(f"interrupted; to go on, type: {command}") from interrupt


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


def new_run(dataset: str, now: datetime) -> str:
    """A name for a run that sorts by time: `factbook-20261123-021205`."""
    return f"{dataset}-{now:%Y%m%d-%H%M%S}"
