"""`spice run`: everything from documents to a release request, in one command."""

from __future__ import annotations

import re
import sys
from collections import Counter
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spice.cli import progress
from spice.cli.acting import AsOption, acting, now
from spice.cli.common import (
    DEFAULT_PRESET,
    FileOption,
    JsonOption,
    PresetOption,
    SetOption,
    StoreOption,
    again,
    emit,
    resolve_settings,
)
from spice.cli.request import next_steps
from spice.cli.resume import require_new, resumable, resumed, run_name
from spice.errors import ConfigError, CorpusError, RefusedError

if TYPE_CHECKING:
    from spice.cli.progress import Progress
    from spice.config import Config
    from spice.corpus.ingest import IngestReport
    from spice.settings import Resolved
    from spice.store import ObjectStore
    from spice.trust.signing import Signer


class Place(StrEnum):
    """Where a run takes place."""

    here = "here"
    kubeflow = "kubeflow"


def run(
    paths: Annotated[list[Path] | None, typer.Argument(metavar="DOCS...", help="Folders and files.")] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="Name of the dataset; the first folder's by default.")
    ] = None,
    new_run: Annotated[str | None, typer.Option("--run", help="Name of the run; made up if not given.")] = None,
    resume: Annotated[str | None, typer.Option("--resume", metavar="RUN", help="Go on with this run.")] = None,
    on: Annotated[Place, typer.Option("--on", help="Where: on this machine, or as a job in Kubeflow.")] = Place.here,
    key: AsOption = "local",
    preset: PresetOption = DEFAULT_PRESET,
    file: FileOption = None,
    sets: SetOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ingest documents, train, evaluate, ask the gate, and request a release if it says pass.

    A gate that says no is a result and no failure: the command ends well, and nothing is requested. On Kubeflow the
    command ends when the job is started; documents may then also be s3://bucket/prefix.
    """
    settings = resolve_settings(preset, file, sets, store)
    config = settings.config
    if bool(paths) == (resume is not None):
        raise ConfigError("give either documents to start with, or --resume RUN")
    if resume is not None and (name or new_run):
        raise ConfigError("--name and --run begin a new run, and --resume goes on with one; leave them out")
    if on is Place.kubeflow:
        _run_on_kubeflow(paths or [], name, new_run, resume, key, preset, settings, as_json)
        return

    from spice import reporting, stages
    from spice.store import artifacts, open_store

    opened = open_store(config.store)
    signer = _signer(opened, key)
    with progress.reporter(as_json) as report:
        if resume is not None:
            this = resume
            config, corpus = resumed(opened, resume, config)
        else:
            name = name or dataset_name((paths or [])[0])
            this = run_name(new_run, name, datetime.now(UTC))
            require_new(opened, this)
            ingested = stages.ingest(paths or [], name, config, progress=report)
            corpus = ingested.ref
            _require_held_out(ingested)
        with resumable("run", this, config, opened):
            result = _from_training_on(opened, corpus, config, this, resume is not None, signer, report)
    found = reporting.load(opened, this)
    result["report"] = reporting.build(opened, found)
    result["documents"] = artifacts.manifest(opened, corpus)["counts"]
    emit(result, f"{_documents(result)}\n{reporting.summary(found)}\n\n{_ending(result, config, key)}", as_json)


def dataset_name(path: Path) -> str:
    """A name for documents after the folder or file they are in: letters, digits, dots and dashes only."""
    plain = re.sub(r"[^a-z0-9.]+", "-", path.resolve().stem.lower()).strip("-.")
    return plain or "documents"


def _run_on_kubeflow(
    paths: list[Path],
    name: str | None,
    new_run: str | None,
    resume: str | None,
    key: str,
    preset: str,
    settings: Resolved,
    as_json: bool,
) -> None:
    from spice.cli import remote

    if resume is not None:
        started = remote.go_on(resume, key, preset, settings)
    else:
        with progress.reporter(as_json) as report:
            started = remote.start(paths, name or dataset_name(paths[0]), new_run, key, preset, settings, report)
    human = f"Run {started.run} is under way: {started.page}\nFollow it: spice pipeline status {started.job}"
    emit(started, human, as_json)


def _from_training_on(
    opened: ObjectStore, corpus: str, config: Config, this: str, resume: bool, signer: Signer | None, report: Progress
) -> dict[str, Any]:
    from spice import stages
    from spice.training.record import update_run

    trained = stages.train(corpus, config, this, resume=resume, progress=report)
    evaluated = stages.evaluate(trained.checkpoint, trained.base, corpus, config, this, progress=report)
    update_run(opened, this, evaluation=evaluated.ref)
    if config.evaluation.coevolution_documents:
        stages.coevolve(this, config, progress=report)
    decision = stages.decide(evaluated.ref, config)
    judged, request = None, None
    if signer is not None:
        judged, request = stages.request_promotion(decision, config, signer, now)
    update_run(opened, this, status="finished", decision=judged, request=request)
    return {
        "run": this,
        "corpus": corpus,
        "base": trained.base,
        "checkpoint": trained.checkpoint,
        "evaluation": evaluated.ref,
        "outcome": decision.outcome,
        "reasons": decision.reasons,
        "decision": judged,
        "request": request,
    }


def _require_held_out(ingested: IngestReport) -> None:
    """Refuse what could be trained on but never judged, before hours of work and not after."""
    counts = ingested.counts
    if not counts.get("documents_held_out"):
        raise CorpusError(
            f"none of the {counts['documents_train']} documents fell to the held-out share, so the result could not be "
            "judged. Add documents (a few dozen at least), or raise corpus.held_out_share; `spice train "
            f"{ingested.ref}` trains without judging."
        )


def _signer(opened: ObjectStore, name: str) -> Signer | None:
    """Whoever signs the decision, found before hours of work and not after; without a key nothing is requested."""
    try:
        return acting(opened, name)
    except RefusedError as refusal:
        print(f"spice: the gate's answer will not be signed and nothing requested: {refusal}", file=sys.stderr)
        return None


def _documents(result: dict[str, Any]) -> str:
    """What became of the documents; nothing is left out without a word."""
    count = Counter(result["documents"])
    left_out = {
        "quarantined by a screen": count["quarantined"],
        "duplicates": count["duplicates"] + count["near_duplicates"],
        "too short": count["documents_too_short"],
        "files that could not be read": count["files_skipped"],
    }
    words = ", ".join(f"{number} {what}" for what, number in left_out.items() if number)
    return f"Documents: {count['documents_train']} to train on, {count['documents_held_out']} held out." + (
        f" Left out: {words}; left_out.jsonl in {result['corpus']} names each." if words else ""
    )


def _ending(result: dict[str, Any], config: Config, key: str) -> str:
    report = f"Report: {result['report']}"
    if result["request"] is not None:
        return f"Requested: {result['request']}\n{next_steps(result['request'], config, key)}\n\n{report}"
    if result["outcome"] == "pass":
        request = f"spice request {result['evaluation']} --as NAME {again(config)}"
        return f"The gate passed it. To request its release: {request}\n{report}"
    return f"Nothing was requested and nothing is released.\n{report}"
