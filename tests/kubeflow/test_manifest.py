"""The TrainJob that is created, by the rules of Trainer 2.3's own API."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spice.config import Config
from spice.kubeflow.manifest import job_name, manifest
from spice.settings import resolve

CORPUS = "datasets/facts/" + "a" * 64


def build(*sets: str, environ: dict[str, str] | None = None) -> dict[str, Any]:
    config = resolve("smoke", sets=["store.url=s3://spice", *sets]).config
    return manifest("spice-first-0", CORPUS, config, "first", environ or {})


def patch(found: dict[str, Any]) -> dict[str, Any]:
    (only,) = found["spec"]["runtimePatches"]
    (job,) = only["trainingRuntimeSpec"]["template"]["spec"]["replicatedJobs"]
    assert job["name"] == "node"
    return dict(job["template"]["spec"]["template"]["spec"])


def test_it_refers_to_the_runtime_of_the_chart_and_runs_the_worker() -> None:
    found = build()
    assert found["spec"]["runtimeRef"] == {
        "apiGroup": "trainer.kubeflow.org",
        "kind": "ClusterTrainingRuntime",
        "name": "spice-training",
    }
    trainer = found["spec"]["trainer"]
    assert trainer["command"][0] == "torchrun"
    assert trainer["command"][-2:] == ["-m", "spice.kubeflow.worker"]
    corpus, run, settings = trainer["args"]
    assert (corpus, run) == (CORPUS, "first")
    assert Config.model_validate_json(settings).training.iterations == 3
    assert trainer["resourcesPerNode"] == {"limits": {"nvidia.com/gpu": 1}}


def test_no_credential_stands_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPICE_S3_SECRET_KEY", "hush-hush")
    found = build(environ={"SPICE_S3_SECRET_KEY": "hush-hush"})
    assert "hush-hush" not in json.dumps(found)
    assert [one["valueFrom"]["secretKeyRef"]["name"] for one in found["spec"]["trainer"]["env"]] == [
        "spice-store-train"
    ] * 2


def test_patches_leave_the_environment_of_the_node_container_alone() -> None:
    """The Trainer's webhook refuses that; it belongs into spec.trainer.env."""
    assert "containers" not in patch(build())


def test_torchrun_leaves_the_worker_nearly_all_of_the_pods_grace() -> None:
    found = build()
    command = found["spec"]["trainer"]["command"]
    grace = patch(found)["terminationGracePeriodSeconds"]
    assert 600 <= int(command[command.index("--shutdown-timeout") + 1]) < grace


def test_with_a_queue_it_waits_suspended_for_kueue() -> None:
    found = build("kubeflow.queue=gpus")
    assert found["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "gpus"
    assert found["spec"]["suspend"] is True
    assert "suspend" not in build()["spec"]


def test_it_belongs_to_the_pod_of_the_pipeline_task() -> None:
    found = build(environ={"KFP_POD_NAME": "task-1", "KFP_POD_UID": "1234"})
    (owner,) = found["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("Pod", "task-1", "1234")
    assert "ownerReferences" not in build()["metadata"]


@pytest.mark.parametrize(
    ("setting", "where"),
    [
        ("kubeflow.image=registry/spice:1", lambda found: found["spec"]["trainer"]["image"]),
        ("kubeflow.service_account=spice-train", lambda found: patch(found)["serviceAccountName"]),
        ("kubeflow.runtime=other", lambda found: found["spec"]["runtimeRef"]["name"]),
    ],
)
def test_settings_reach_their_field(setting: str, where: Any) -> None:
    assert where(build(setting)) == setting.partition("=")[2]


def test_without_gpus_none_is_asked_for() -> None:
    assert "resourcesPerNode" not in build("kubeflow.gpus=0")["spec"]["trainer"]


@given(run=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", fullmatch=True), attempt=st.integers(0, 99))
def test_every_run_has_a_name_that_kubernetes_takes(run: str, attempt: int) -> None:
    name = job_name(run, attempt)
    assert re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", name)
    assert len(name) <= 63


@given(st.lists(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", fullmatch=True), unique=True, min_size=2))
def test_different_runs_have_different_names(runs: list[str]) -> None:
    assert len({job_name(run, 0) for run in runs}) == len(runs)
