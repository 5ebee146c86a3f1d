"""`spice run`: everything from documents to a release request, in one command."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spice.cli import progress
from spice.cli.common import (
    DEFAULT_PRESET,
    FileOption,
    JsonOption,
    PresetOption,
    SetOption,
    StoreOption,
    emit,
    load_config,
)
from spice.cli.request import next_steps
from spice.cli.resume import resumable, resumed, run_name
from spice.errors import ConfigError

if TYPE_CHECKING:
    from spice.cli.progress import Progress
    from spice.config import Config


def run(
    paths: Annotated[list[Path] | None, typer.Argument(metavar="DOCS...", help="Folders and files.")] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="Name of the dataset; the first folder's by default.")
    ] = None,
    new_run: Annotated[str | None, typer.Option("--run", help="Name of the run; made up if not given.")] = None,
    resume: Annotated[str | None, typer.Option("--resume", metavar="RUN", help="Go on with this run.")] = None,
    preset: PresetOption = DEFAULT_PRESET,
    file: FileOption = None,
    sets: SetOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ingest documents, train, evaluate, ask the gate, and request a release if it says pass.

    A gate that says no is a result and no failure: the command ends well, and nothing is requested.
    """
    config = load_config(preset, file, sets, store)
    if bool(paths) == (resume is not None):
        raise ConfigError("give either documents to start with, or --resume RUN")
    if resume is not None and (name or new_run):
        raise ConfigError("--name and --run begin a new run, and --resume goes on with one; leave them out")

    from spice import reporting, stages
    from spice.store import open_store

    opened = open_store(config.store)
    with progress.reporter(as_json) as report:
        if resume is not None:
            this = resume
            config, corpus = resumed(opened, resume, config)
        else:
            name = name or dataset_name((paths or [])[0])
            this = run_name(new_run, name, datetime.now(UTC))
            corpus = stages.ingest(paths or [], name, config, progress=report).ref
        with resumable("run", this, config):
            result = _from_training_on(corpus, config, this, resume is not None, report)
    found = reporting.load(opened, this)
    result["report"] = reporting.build(opened, found)
    emit(result, f"{reporting.summary(found)}\n\n{_ending(result, config.promotion.approvals)}", as_json)


def dataset_name(path: Path) -> str:
    """A name for documents after the folder or file they are in: letters, digits, dots and dashes only."""
    plain = re.sub(r"[^a-z0-9.]+", "-", path.resolve().stem.lower()).strip("-.")
    return plain or "documents"


def _from_training_on(corpus: str, config: Config, this: str, resume: bool, report: Progress) -> dict[str, Any]:
    from spice import stages

    trained = stages.train(corpus, config, this, resume=resume, progress=report)
    evaluated = stages.evaluate(trained.checkpoint, trained.base, corpus, config, this, progress=report)
    decision = stages.decide(evaluated.ref, config)
    request = stages.request_promotion(evaluated.ref, config) if decision.outcome == "pass" else None
    return {
        "run": this,
        "corpus": corpus,
        "base": trained.base,
        "checkpoint": trained.checkpoint,
        "evaluation": evaluated.ref,
        "outcome": decision.outcome,
        "reasons": decision.reasons,
        "request": request,
    }


def _ending(result: dict[str, Any], approvals: int) -> str:
    report = f"Report: {result['report']}"
    if result["request"] is None:
        return f"Nothing was requested and nothing is released.\n{report}"
    return f"Requested: {result['request']}\n{next_steps(result['request'], approvals)}\n\n{report}"
