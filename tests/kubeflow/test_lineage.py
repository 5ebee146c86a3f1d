"""What a recurring pipeline goes on from, and how jobs are recorded."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import pytest

from spice.kubeflow import lineage, outcome
from spice.kubeflow.progress import Log
from spice.store import ObjectStore

OLD, NEW, OTHER = (f"datasets/{name}/{digit * 64}" for name, digit in (("facts", "1"), ("facts", "2"), ("news", "3")))


def trained(store: ObjectStore, run: str, corpus: str, checkpoint: str | None, when: float) -> None:
    info = {"status": "trained", "corpus": corpus} | ({"checkpoint": checkpoint} if checkpoint else {})
    store.put(f"runs/{run}/run.json", json.dumps(info).encode())
    os.utime(Path(store.url) / f"runs/{run}/run.json", (when, when))


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        ([], "tiny"),
        ([("a", OLD, "checkpoints/a", 1.0)], "checkpoints/a"),
        ([("a", OLD, "checkpoints/a", 2.0), ("b", OLD, "checkpoints/b", 1.0)], "checkpoints/a"),
        ([("a", OTHER, "checkpoints/a", 1.0)], "tiny"),
        ([("a", NEW, "checkpoints/a", 1.0)], lineage.UNCHANGED),
        ([("a", NEW, None, 1.0)], "tiny"),
    ],
    ids=["nothing", "one", "the newest", "another dataset", "these very documents", "it did not finish"],
)
def test_where_training_goes_on(
    runs: list[tuple[str, str, str | None, float]], expected: str, store: ObjectStore
) -> None:
    for run in runs:
        trained(store, *run)
    assert lineage.start(store, NEW, "tiny") == expected


@pytest.mark.parametrize(("state", "status"), [("SUCCEEDED", "finished"), ("FAILED", "failed"), ("CANCELED", "failed")])
def test_a_job_is_recorded_and_its_run_closed(state: str, status: str, store: ObjectStore) -> None:
    trained(store, "first", OLD, "checkpoints/a", 1.0)
    outcome.record(store, "first", "job-1", {"state": state, "task": "train", "error": "no GPU"})
    assert json.loads(store.get("runs/first/jobs/job-1.json")) == {
        "job": "job-1",
        "run": "first",
        "state": state,
        "task": "train",
        "error": "no GPU",
    }
    info = json.loads(store.get("runs/first/run.json"))
    assert (info["status"], info["checkpoint"]) == (status, "checkpoints/a")


def test_a_job_that_never_began_a_run_is_recorded_too(store: ObjectStore) -> None:
    outcome.record(store, "lost", "job-2", {"state": "FAILED", "task": "ingest", "error": "no documents"})
    assert store.head("runs/lost/run.json") is None
    assert store.head("runs/lost/jobs/job-2.json") is not None
    assert "Nothing" in outcome.summary(store, "lost")


def test_a_log_has_a_line_for_every_twentieth() -> None:
    out = io.StringIO()
    log = Log(out)
    for done in range(1001):
        log(done, 1000, "read")
    log(0, 2, "train")
    log(1, 2, "train", "valid 3/4")
    log(2, 2, "train")
    lines = out.getvalue().splitlines()
    assert len(lines) == 21 + 3
    assert lines[-4:] == ["read 1000/1000", "train 0/2", "train 1/2, valid 3/4", "train 2/2"]
