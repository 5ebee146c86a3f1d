"""Dataset versions, and the passages in them."""

from __future__ import annotations

import json
import re

from spice.console.records import DatasetDetail, DatasetSummary, LeftOut, Passage
from spice.console.words import place
from spice.corpus import dataset
from spice.errors import IntegrityError, NotFoundError, StoreError
from spice.reporting import runs
from spice.reporting.records import CorpusManifest
from spice.store import artifacts
from spice.store.base import ObjectStore
from spice.store.refs import LATEST

_MANIFEST = re.compile(r"(datasets/([^/]+)/[0-9a-f]{64})/manifest\.json")
_SHOWN = 200


def summaries(store: ObjectStore) -> tuple[DatasetSummary, ...]:
    """Every version of every dataset, the latest of each first."""
    found = [(m[1], m[2]) for info in store.list("datasets/") if (m := _MANIFEST.fullmatch(info.key))]
    latest = {name: _latest(store, name) for _, name in found}
    listed = [_summary(store, ref, name, latest[name] == ref) for ref, name in found]
    return tuple(sorted(listed, key=lambda one: (one.name, not one.latest, one.ref)))


def detail(store: ObjectStore, name: str, digest: str) -> DatasetDetail:
    """One version. Raises `NotFoundError`, and `IntegrityError` if it was changed."""
    ref = f"datasets/{name}/{digest}"
    left_out = _left_out(store, ref)
    users = tuple(run for run, info in runs(store) if info.corpus == ref)
    summary = _summary(store, ref, name, _latest(store, name) == ref, strict=True)
    return DatasetDetail(**summary.model_dump(), left_out=left_out[:_SHOWN], left_out_count=len(left_out), runs=users)


def passage(store: ObjectStore, name: str, digest: str, segment: str) -> Passage:
    """One segment, verified against the digests of its file and of the version. Raises `NotFoundError`."""
    ref = f"datasets/{name}/{digest}"
    found = dataset.find(store, ref, segment)
    return Passage(
        ref=ref,
        segment=found.segment_id,
        source=found.source,
        title=found.title,
        unit=found.unit,
        start=found.start,
        end=found.end,
        place=place(found.unit, found.start, found.end),
        sha256=found.sha256,
        split=found.split,
        text=found.text,
    )


def _summary(store: ObjectStore, ref: str, name: str, latest: bool, *, strict: bool = False) -> DatasetSummary:
    try:
        counts, problem = CorpusManifest.model_validate(artifacts.manifest(store, ref)).counts, ""
    except StoreError as error:
        if strict:
            raise
        counts, problem = {}, str(error)
    return DatasetSummary(ref=ref, name=name, latest=latest, counts=counts, problem=problem)


def _latest(store: ObjectStore, name: str) -> str | None:
    try:
        return artifacts.resolve(store, f"datasets/{name}@{LATEST}")
    except (NotFoundError, IntegrityError):
        return None


def _left_out(store: ObjectStore, ref: str) -> tuple[LeftOut, ...]:
    rows = (json.loads(line.decode("utf-8", "replace")) for line in dataset.left_out(store, ref) if line.strip())
    return tuple(
        LeftOut(source=str(row.get("source", "")), stage=str(row.get("stage", "")), reason=str(row.get("reason", "")))
        for row in rows
    )
