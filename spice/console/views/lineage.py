"""From what is live down to the documents that it learned from, one step at a time."""

from __future__ import annotations

from collections.abc import Iterator

from spice.console.records import CheckpointDetail, Lineage, Release, Step
from spice.console.views import checkpoints
from spice.console.watch import Snapshot
from spice.console.words import moment, short
from spice.errors import NotFoundError, StoreError
from spice.reporting import run_info
from spice.reporting.records import CorpusManifest
from spice.store import artifacts
from spice.store.base import ObjectStore


def trace(store: ObjectStore, digest: str, seen: Snapshot) -> Lineage:
    """The lineage of a checkpoint. Raises `NotFoundError`, and `IntegrityError` if its manifest was changed."""
    found = checkpoints.detail(store, f"checkpoints/{digest}", seen)
    return Lineage(checkpoint=found.ref, steps=tuple(_steps(store, found)))


def _steps(store: ObjectStore, found: CheckpointDetail) -> Iterator[Step]:
    yield _release(found.releases[-1] if found.releases else None)
    yield Step(
        kind="checkpoint",
        name="Checkpoint",
        ref=found.ref,
        told=f"{found.standing}; {len(found.files)} files, each with its digest",
        link=f"/{found.ref}",
    )
    if not found.run:
        yield Step(
            kind="model", name="Model", ref=None, told=f"{found.model or 'A base model'}, not trained here", link=None
        )
        return
    yield _run(store, found)
    tasks = f"/runs/{found.run}/tasks/{found.iteration or 1}"
    yield Step(
        kind="tasks",
        name="Tasks",
        ref=None,
        told="every task that the run posed, each with the passage that it was made from and where that stands",
        link=tasks,
    )
    yield _dataset(store, found.corpus)
    yield Step(
        kind="base",
        name="Model before training",
        ref=found.base,
        told="the same for base and candidate",
        link=f"/{found.base}",
    )


def _release(release: Release | None) -> Step:
    if release is None:
        return Step(kind="release", name="Release", ref=None, told="never released", link=None)
    approved = ", ".join(release.approvers) or "nobody: no approval was needed"
    return Step(
        kind="release",
        name="Release",
        ref=release.request,
        told=f"{moment(release.time)} by {release.releaser}; requested by {release.requester}, approved by {approved}",
        link=f"/{release.request}",
    )


def _run(store: ObjectStore, found: CheckpointDetail) -> Step:
    try:
        status = run_info(store, found.run).status
    except NotFoundError:
        return Step(kind="run", name="Run", ref=found.run, told="its records are not in the store any more", link=None)
    told = f"iteration {found.iteration}; the run is {status}; code {found.code}"
    return Step(kind="run", name="Run", ref=found.run, told=told, link=f"/runs/{found.run}")


def _dataset(store: ObjectStore, ref: str) -> Step:
    try:
        counts = CorpusManifest.model_validate(artifacts.manifest(store, ref)).counts
    except StoreError as error:
        return Step(kind="dataset", name="Documents", ref=ref, told=str(error), link=None)
    told = (
        f"{counts.get('documents_train', 0):,} documents trained on, {counts.get('documents_held_out', 0):,} held out"
    )
    return Step(kind="dataset", name="Documents", ref=ref, told=f"{told}; version {short(ref)}", link=f"/{ref}")
