"""Each pipeline, run for real. A task ran if its executor said so: kfp.local calls skipped tasks successful."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from spice import cli
from spice.promotion.log import ReleaseLog
from spice.promotion.release import status
from spice.store import artifacts

# Whole pipelines: on a busy machine they take many times as long as on an idle one.
pytestmark = [pytest.mark.integration, pytest.mark.torch, pytest.mark.timeout(1800)]


def spice(*arguments: str) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 0


def approve(bench: Any, request: str) -> None:
    """A second person makes a key and approves."""
    spice("keys", "create", "anna", "--role", "approver", "--store", bench.url)
    spice("approve", request, "--as", "anna", "--store", bench.url)


def test_selfplay_goes_from_documents_to_a_request(trained: Any) -> None:
    bench, job = trained
    assert job.tasks == {"ingest", "train", "evaluate", "gate", "request-promotion", "record-outcome"}
    info = json.loads(bench.store.get("runs/first/run.json"))
    assert info["status"] == "finished"
    assert {
        "corpus": job.returned("ingest"),
        "checkpoint": job.returned("train"),
        "evaluation": job.returned("evaluate"),
        "request": job.returned("request-promotion"),
    }.items() <= info.items()
    assert job.returned("gate") == "pass"
    assert job.returned("record-outcome") == "SUCCEEDED"


def test_artifacts_name_what_they_stand_for_by_digest(trained: Any) -> None:
    bench, job = trained
    for task, artifact in (("ingest", "dataset"), ("train", "checkpoint")):
        ref = job.returned(task)
        metadata = job.metadata(task, artifact)
        assert (metadata["ref"], metadata["digest"]) == (ref, ref.rpartition("/")[2])
        assert json.loads(job.content(task, artifact)) == artifacts.manifest(bench.store, ref)
    assert "cloze" in job.content("evaluate", "table")
    assert job.content("train", "report").startswith("<!doctype html>")
    assert job.returned("evaluate") in job.content("gate", "report")
    assert job.metadata("evaluate", "metrics")["cloze_candidate"] >= 0.0


def test_a_gate_that_says_no_stops_the_request_and_the_job_ends_well(bench: Any) -> None:
    strict = [*bench.settings, "promotion.min_improvement=0.99", "evaluation.cloze_items=2"]
    job = bench.run(
        "selfplay", documents="datasets/facts", name="facts", run="first", gpus="0", requester="local", settings=strict
    )
    assert job.tasks == {"ingest", "train", "evaluate", "gate", "record-outcome"}
    assert job.returned("gate") != "pass"
    assert job.returned("record-outcome") == "SUCCEEDED"
    assert job.content("gate", "answer").startswith(f"# The gate says {job.returned('gate')}")
    assert json.loads(bench.store.get("runs/first/run.json"))["decision"] == job.metadata("gate", "answer")["decision"]


def test_a_job_that_fails_is_recorded(bench: Any) -> None:
    job = bench.run("selfplay", documents="datasets/nowhere", name="nowhere", run="lost", gpus="0")
    assert job.tasks == {"record-outcome"}
    assert job.returned("record-outcome") == "FAILED"
    (record,) = bench.store.list("runs/lost/jobs/")
    assert json.loads(bench.store.get(record.key))["state"] == "FAILED"


def test_promote_waits_for_nobody_and_releases_what_was_approved(trained: Any, bench: Any) -> None:
    request = trained[1].returned("request-promotion")
    refused = bench.run("promote", request=request, releaser="local")
    assert refused.tasks == set(), "neither verified nor released without an approval"
    assert status(ReleaseLog(bench.store)).live is None

    approve(bench, request)
    job = bench.run("promote", request=request, releaser="local")
    assert job.tasks == {"verify", "promote"}
    live = status(ReleaseLog(bench.store)).live
    assert live == job.returned("promote") == trained[1].returned("train")
    assert job.metadata("promote", "release")["digest"] == live.rpartition("/")[2]
    assert job.metadata("verify", "approvals")["approvers"] == ["anna"]

    undone = bench.run("rollback", reason="it was only a test", releaser="local")
    assert undone.tasks == {"rollback"}
    assert undone.returned("rollback") == "nothing"
    assert status(ReleaseLog(bench.store)).live is None


def test_nightly_does_nothing_without_new_documents_and_goes_on_with_them(trained: Any, bench: Any) -> None:
    given = {"documents": str(bench.folder / "documents"), "name": "facts", "gpus": "0", "requester": "local"}
    same = bench.run("nightly", **given)
    assert same.tasks == {"ingest", "continue-from", "record-outcome"}
    assert same.returned("continue-from") == "unchanged"

    (bench.folder / "documents" / "news.md").write_text(Path(__file__).with_name("news.md").read_text())
    changed = bench.run("nightly", **given)
    assert changed.tasks == {"ingest", "continue-from", "train", "evaluate", "gate", "record-outcome"}
    before = trained[1].returned("train")
    assert changed.returned("continue-from") == before
    base = artifacts.manifest(bench.store, str(artifacts.manifest(bench.store, changed.returned("train"))["base"]))
    assert base["model"] == before
