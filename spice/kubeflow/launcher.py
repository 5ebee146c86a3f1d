"""The door to where training runs: in this process, or in a TrainJob of its own.

Either way training is begun, or gone on with if the run has begun already. So a pod that Kubernetes evicts, a task
that Kubeflow retries and a TrainJob whose node fails all go on from the last checkpoint, and whoever repeats a
finished run gets what it made.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Protocol

from pydantic import ValidationError

from spice import stages
from spice.config import Config
from spice.errors import NotFoundError, TrainingError
from spice.reporting import run_info
from spice.store import ObjectStore, open_store


class Progress(Protocol):
    """Called with steps done, steps in all, the phase, and a few words on the last step."""

    def __call__(self, done: int, total: int, what: str, note: str = "") -> None:
        """Say how far the work is."""
        ...


@dataclass(frozen=True)
class Checkpoint:
    """What a launcher leaves in the store: references of the last checkpoint and of the base it began from."""

    ref: str
    base: str


class Launcher(Protocol):
    """Trains a run somewhere."""

    def train(self, corpus: str, config: Config, run: str, *, progress: Progress) -> Checkpoint:
        """Begin the run, or go on with it, and wait until it is trained.

        Args:
            corpus: reference of the dataset version.
            config: of a run that begins; one that goes on keeps its own.
            run: its name.
            progress: told how many iterations are done.

        Raises:
            RefusedError: the kill-switch is engaged or cannot be read.
            TrainingError: training failed; the message says why.
            KeyboardInterrupt: SIGTERM; what was done is kept.
        """
        ...


class ThisProcess:
    """Trains right here."""

    def train(self, corpus: str, config: Config, run: str, *, progress: Progress) -> Checkpoint:
        """As `Launcher.train`."""
        store = open_store(config.store)
        begun = has_begun(store, run)
        if begun:
            config = continued(store, run, corpus, config)
        trained = stages.train(corpus, config, run, resume=begun, progress=progress)
        return Checkpoint(trained.checkpoint, trained.base)


def has_begun(store: ObjectStore, run: str) -> bool:
    """Whether there is something to go on with."""
    return store.head(f"runs/{run}/run.json") is not None


def continued(store: ObjectStore, run: str, corpus: str, config: Config) -> Config:
    """The configuration that `run` began with. Only where the store and the cluster are comes from `config`.

    Raises:
        TrainingError: the run was trained on other documents, or its configuration cannot be read.
    """
    info = run_info(store, run)
    if info.corpus != corpus:
        raise TrainingError(
            f"There is a run {run} already, on {info.corpus} and not on {corpus}. Choose another name for this one."
        )
    try:
        stored = Config.model_validate(json.loads(store.get(f"runs/{run}/config.json")))
    except (NotFoundError, ValueError, ValidationError) as error:
        raise TrainingError(f"Run {run} in {store.url} has no usable config.json, so start anew: {error}") from error
    return stored.model_copy(update={"store": config.store, "kubeflow": config.kubeflow})
