"""`spice train`: the loop alone, on a dataset version that is in the store."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from spice.cli import progress
from spice.cli.common import (
    DEFAULT_PRESET,
    FileOption,
    JsonOption,
    PresetOption,
    SetOption,
    StoreOption,
    again,
    emit,
    load_config,
)
from spice.cli.resume import resumable, resumed, run_name
from spice.errors import ConfigError


def train(
    corpus: Annotated[
        str | None, typer.Argument(help="Dataset version: a name, datasets/NAME@TAG or datasets/NAME/DIGEST.")
    ] = None,
    run: Annotated[str | None, typer.Option("--run", help="Name of the new run; made up if not given.")] = None,
    resume: Annotated[str | None, typer.Option("--resume", metavar="RUN", help="Go on with this run.")] = None,
    from_iteration: Annotated[
        int | None,
        typer.Option(
            "--from-iteration",
            min=1,
            metavar="N",
            help="With --resume: go back to the state after iteration N, if it was kept, and play on from there.",
        ),
    ] = None,
    ranks: Annotated[
        int | None,
        typer.Option("--ranks", min=1, help="Processes that train together, one a GPU; short for training.ranks."),
    ] = None,
    preset: PresetOption = DEFAULT_PRESET,
    file: FileOption = None,
    sets: SetOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a model improve itself on a dataset version, or go on where a run was stopped.

    A resumed run keeps the documents and the settings that it was started with, and ends in the same weights as if
    it had never been stopped; on another number of ranks, in nearly the same.
    """
    config = load_config(preset, file, sets, store)
    if (corpus is None) == (resume is None):
        raise ConfigError("give either a dataset version to train on, or --resume RUN")
    if resume is not None and run is not None:
        raise ConfigError("--run names a new run and --resume goes on with one; give one of them")
    if resume is None and from_iteration is not None:
        raise ConfigError("--from-iteration says where a run goes on, so name the run with --resume")

    from spice import stages
    from spice.store import artifacts, open_store

    opened = open_store(config.store)
    if resume is not None:
        name = resume
        config, corpus_ref = resumed(opened, resume, config)
    else:
        corpus_ref = artifacts.resolve(opened, dataset(corpus or ""))
        name = run_name(run, corpus_ref.split("/")[1], datetime.now(UTC))
    if ranks is not None:
        config = config.model_copy(update={"training": config.training.model_copy(update={"ranks": ranks})})
    with progress.reporter(as_json) as report, resumable("train", name, config, opened):
        trained = stages.train(
            corpus_ref, config, name, resume=resume is not None, from_iteration=from_iteration, progress=report
        )
    then = f"spice evaluate {trained.checkpoint} {again(config)}"
    emit(
        {"run": name, "corpus": corpus_ref, "base": trained.base, "checkpoint": trained.checkpoint},
        f"Run {name} is trained.\nCheckpoint: {trained.checkpoint}\nNext: {then}",
        as_json,
    )


def dataset(text: str) -> str:
    """What a person calls a dataset version, as the store wants it: `factbook` is `datasets/factbook`."""
    return text if "/" in text else f"datasets/{text}"
