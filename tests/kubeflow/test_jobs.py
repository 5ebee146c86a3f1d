"""What holds of every door to Kubernetes: the one in memory, the client over HTTP, and on a real API server.

The last is part of `make test-cluster`.
"""

from __future__ import annotations

import socket
from typing import Any

import pytest
from kubernetes import client

from spice.config import Config
from spice.errors import ClusterError
from spice.kubeflow.cluster import Cluster
from spice.kubeflow.jobs import Condition, ExpiredError, Job, Jobs, Pod, TakenError
from spice.kubeflow.manifest import manifest as build

COMPLETE = Condition("Complete", "JobsCompleted", "all done")
FAILED = Condition("Failed", "FailedJobs", "some failed")


def connect(address: str) -> Cluster:
    return Cluster(client.ApiClient(client.Configuration(host=address)), "team")


@pytest.fixture(params=["memory", "http", pytest.param("server", marks=pytest.mark.cluster)])
def doors(request: pytest.FixtureRequest) -> tuple[Jobs, Any]:
    """A door, and the cluster behind it, which the tests change as controllers and people do."""
    if request.param == "server":
        cluster, namespace = request.getfixturevalue("live_cluster")
        return Cluster(request.getfixturevalue("kube_api"), namespace), cluster
    cluster = request.getfixturevalue("cluster")
    if request.param == "memory":
        return cluster, cluster
    return connect(request.getfixturevalue("api_server")[1]), cluster


def manifest(name: str = "spice-a-0") -> dict[str, Any]:
    config = Config.model_validate({"store": {"url": "s3://spice"}})
    return build(name, "datasets/facts/0", config, "a", {})


def test_a_created_job_is_read_back(doors: tuple[Jobs, Any]) -> None:
    jobs, _ = doors
    made = jobs.create(manifest())
    assert jobs.get("spice-a-0") == made
    assert made.uid
    assert not made.finished


def test_a_name_is_taken_until_the_job_is_gone_even_while_it_is_deleted(doors: tuple[Jobs, Any]) -> None:
    jobs, cluster = doors
    first = jobs.create(manifest())
    cluster.hold(first.name)
    with pytest.raises(TakenError):
        jobs.create(manifest())
    jobs.delete(first.name, first.uid)
    with pytest.raises(TakenError):
        jobs.create(manifest())
    found = jobs.get(first.name)
    assert found is not None
    assert found.deleting
    cluster.vanish(first.name)
    assert jobs.create(manifest()).uid != first.uid


def test_only_that_very_job_is_deleted(doors: tuple[Jobs, Any]) -> None:
    jobs, cluster = doors
    first = jobs.create(manifest())
    cluster.vanish(first.name)
    second = jobs.create(manifest())
    jobs.delete(first.name, first.uid)
    assert jobs.get(second.name) == second
    jobs.delete(second.name, second.uid)
    assert jobs.get(second.name) is None
    jobs.delete(second.name, second.uid)


def test_a_watch_tells_every_later_state_in_order_and_then_ends(doors: tuple[Jobs, Any]) -> None:
    jobs, cluster = doors
    made = jobs.create(manifest())
    other = jobs.create(manifest("spice-b-0"))
    cluster.set(made.name, FAILED)
    cluster.set(other.name, COMPLETE)
    cluster.set(made.name, COMPLETE)
    seen = list(jobs.watch(made.name, made.version, 1))
    assert [job and job.conditions for job in seen] == [(FAILED,), (COMPLETE,)]
    last = seen[-1]
    assert last is not None
    assert list(jobs.watch(made.name, last.version, 1)) == []


def test_a_watch_tells_that_the_job_is_gone(doors: tuple[Jobs, Any]) -> None:
    jobs, cluster = doors
    made = jobs.create(manifest())
    cluster.vanish(made.name)
    assert list(jobs.watch(made.name, made.version, 1)) == [None]


def test_a_forgotten_version_cannot_be_watched_and_the_job_can_be_read_again(doors: tuple[Jobs, Any]) -> None:
    jobs, cluster = doors
    made = jobs.create(manifest())
    forgotten = cluster.forget()
    with pytest.raises(ExpiredError):
        list(jobs.watch(made.name, forgotten, 1))
    again = jobs.get(made.name)
    assert again is not None
    assert (again.uid, list(jobs.watch(made.name, again.version, 1))) == (made.uid, [])


def test_a_pod_that_has_not_started_has_no_log(doors: tuple[Jobs, Any]) -> None:
    jobs, _ = doors
    assert jobs.logs("spice-a-0-node-0-0", 60) == []


def test_the_log_of_a_pod_is_told_by_lines(cluster: Any, api_server: Any) -> None:
    cluster.lines["spice-a-0-node-0-0"] = [("2026-01-01T00:00:00.1Z", "train 1/3"), ("2026-01-01T00:00:01.2Z", "")]
    for jobs in (cluster, connect(api_server[1])):
        assert jobs.logs("spice-a-0-node-0-0", 60) == cluster.lines["spice-a-0-node-0-0"]


def pod(name: str = "n", **status: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "status": {"phase": "Failed", **status}}


def ended(code: int, reason: str = "Error", message: str | None = None) -> list[dict[str, Any]]:
    state = {"terminated": {"exitCode": code, "reason": reason, "message": message}}
    return [
        {"name": "node", "image": "i", "imageID": "", "ready": False, "restartCount": 0, "state": state},
    ]


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (pod(phase="Pending"), Pod("n", "Pending")),
        (pod(phase="Running"), Pod("n", "Running")),
        (
            pod(containerStatuses=ended(1, message="no such corpus")),
            Pod("n", "Failed", "Error", "no such corpus", 1),
        ),
        (pod(containerStatuses=ended(137, "OOMKilled")), Pod("n", "Failed", "OOMKilled", "", 137)),
        (pod(containerStatuses=ended(143)), Pod("n", "Failed", "Error", "", 143, disrupted=True)),
        (
            pod(reason="Evicted", message="The node was low on memory."),
            Pod("n", "Failed", "Evicted", "The node was low on memory.", disrupted=True),
        ),
        (
            pod(conditions=[{"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler"}]),
            Pod("n", "Failed", disrupted=True),
        ),
        (pod(conditions=[{"type": "DisruptionTarget", "status": "False"}]), Pod("n", "Failed")),
    ],
    ids=["pending", "running", "failed", "out of memory", "SIGTERM", "evicted", "preempted", "not preempted"],
)
def test_what_became_of_a_pod(raw: dict[str, Any], expected: Pod, api_server: Any) -> None:
    server, address = api_server
    server.raw_pods = [raw]
    assert connect(address).pods("spice-a-0") == [expected]


def test_a_refusal_names_what_was_attempted_and_the_rights(api_server: Any) -> None:
    elsewhere = Cluster(client.ApiClient(client.Configuration(host=api_server[1])), "other-team")
    with pytest.raises(ClusterError, match=r"create the TrainJob spice-a-0: 403 .*service account"):
        elsewhere.create(manifest())


def test_an_api_server_that_is_away_is_told_so() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
        configuration = client.Configuration(host=address)
        configuration.retries = False
        away = Cluster(client.ApiClient(configuration), "team")
        with pytest.raises(ClusterError, match="cannot be reached"):
            away.get("spice-a-0")


def test_an_answer_that_is_no_trainjob_is_refused(api_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    server, address = api_server
    monkeypatch.setattr(server, "_raw", lambda _job: {"metadata": {"name": "x"}})
    with pytest.raises(ClusterError, match="no TrainJob"):
        connect(address).create(manifest())


def test_conditions_that_do_not_hold_do_not_count() -> None:
    assert not Job("a", "u", "1", False, ()).finished
    assert Job("a", "u", "1", False, (FAILED,)).condition("Complete") is None
