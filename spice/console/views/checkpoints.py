"""Checkpoints: where each came from, and what became of it."""

from __future__ import annotations

import re
from typing import Any, Literal

from spice.console.records import CheckpointDetail, CheckpointSummary, File
from spice.console.views.ledger import releases
from spice.console.watch import Snapshot
from spice.errors import StoreError
from spice.reporting import runs
from spice.store import artifacts
from spice.store.base import ObjectStore

Standing = Literal["live", "released", "revoked", "never released"]

_MANIFEST = re.compile(r"(checkpoints/[0-9a-f]{64})/manifest\.json")
_ORDER: tuple[Standing, ...] = ("live", "released", "revoked", "never released")


def summaries(store: ObjectStore, seen: Snapshot) -> tuple[CheckpointSummary, ...]:
    """Every checkpoint: first what is live, then what was; then by run, the latest iteration first."""
    refs = [m[1] for info in store.list("checkpoints/") if (m := _MANIFEST.fullmatch(info.key))]
    found = [_summary(store, ref, seen) for ref in refs]
    return tuple(sorted(found, key=lambda one: (_ORDER.index(one.standing), one.run, -(one.iteration or 0), one.ref)))


def detail(store: ObjectStore, ref: str, seen: Snapshot) -> CheckpointDetail:
    """One checkpoint. Raises `NotFoundError`, and `IntegrityError` if its manifest was changed."""
    manifest = artifacts.manifest(store, ref)
    entries = artifacts.files(store, ref)
    return CheckpointDetail(
        **_described(ref, manifest, seen).model_dump(),
        model=str(manifest.get("model") or ""),
        base=str(manifest.get("base") or ""),
        corpus=str(manifest.get("corpus") or ""),
        code=str(manifest.get("code") or ""),
        files=tuple(File(name=name, sha256=entry.sha256, size=entry.size) for name, entry in sorted(entries.items())),
        evaluations=_evaluations(store, ref, seen),
        releases=releases(seen, ref),
    )


def standing(ref: str, seen: Snapshot) -> Standing:
    """What the ledger says of a checkpoint."""
    if seen.log is None:
        return "never released"
    if ref in seen.log.state.revoked:
        return "revoked"
    if ref == seen.switch.live:
        return "live"
    return "released" if ref in seen.log.state.released else "never released"


def _summary(store: ObjectStore, ref: str, seen: Snapshot) -> CheckpointSummary:
    try:
        return _described(ref, artifacts.manifest(store, ref), seen)
    except StoreError as error:
        return CheckpointSummary(
            ref=ref, kind="", run="", iteration=None, size=0, standing=standing(ref, seen), problem=str(error)
        )


def _described(ref: str, manifest: dict[str, Any], seen: Snapshot) -> CheckpointSummary:
    iteration = manifest.get("iteration")
    return CheckpointSummary(
        ref=ref,
        kind=str(manifest.get("kind") or "checkpoint"),
        run=str(manifest.get("run") or ""),
        iteration=iteration if isinstance(iteration, int) else None,
        size=sum(int(entry["size"]) for entry in manifest["files"].values()),
        standing=standing(ref, seen),
        problem="",
    )


def _evaluations(store: ObjectStore, ref: str, seen: Snapshot) -> tuple[str, ...]:
    """Reports on a checkpoint that a run or the ledger names; the reports themselves are too long to search."""
    of_runs = {info.evaluation for _, info in runs(store) if info.checkpoint == ref and info.evaluation}
    of_ledger = {str(one.body["evaluation"]) for one in seen.entries if one.body.get("candidate") == ref}
    return tuple(sorted(of_runs | of_ledger))
