"""The launcher of TrainJobs on a real API server, with no more rights than its pipeline's account has."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from spice.config import Config
from spice.errors import ClusterError, TrainingError

CORPUS = "datasets/facts/" + "a" * 64
MODEL = "Qwen/Qwen3-4B-Base"
MADE, BASE = "checkpoints/" + "c" * 64, "checkpoints/" + "b" * 64
COMPLETE = {"type": "Complete", "reason": "JobsCompleted", "message": "jobset completed successfully"}
FAILED = {"type": "Failed", "reason": "FailedJobs", "message": "jobset failed"}
Manifest = dict[str, Any]

pytestmark = pytest.mark.cluster


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """Settings of a run."""
    from spice.settings import resolve

    sets = [f"store.url={tmp_path / 'store'}", f"model.name={MODEL}", "kubeflow.restarts=1"]
    return resolve("smoke", sets=sets).config


@pytest.fixture
def switch(
    release: Any, api: Any, namespace: str, config: Config, tell: Any, eventually: Any
) -> Iterator[Callable[..., None]]:
    """Sets what the switch's board says and waits until the policies know."""
    from kubernetes import dynamic
    from kubernetes.client.exceptions import ApiException

    from spice.kubeflow.manifest import manifest

    jobs = dynamic.DynamicClient(api).resources.get(api_version="trainer.kubeflow.org/v1alpha1", kind="TrainJob")

    def allowed() -> bool:
        try:
            wanted = manifest("probe", CORPUS, config, "probe", {})
            jobs.create(body=wanted, namespace=namespace, query_params=[("dryRun", "All")])
        except ApiException:
            return False
        return True

    def turn(engaged: str, reason: str = "") -> None:
        tell("spice-kill-switch", {"engaged": engaged, "reason": reason})
        eventually(lambda: allowed() is (engaged == "false"), f"the switch says {engaged}")

    yield turn
    tell("spice-kill-switch", {"engaged": None, "reason": None})


@pytest.fixture
def train(config: Config, as_account: Callable[[str], Any], namespace: str) -> Callable[..., Any]:
    """Trains the run `first` as a service account."""
    from spice.kubeflow.cluster import Cluster
    from spice.kubeflow.trainjob import TrainJobs

    def trained(account: str, told: list[int] | None = None) -> Any:
        def progress(done: int, total: int, what: str, note: str = "") -> None:
            if told is not None:
                told.append(done)

        jobs = Cluster(as_account(account), namespace)
        launcher = TrainJobs(jobs, environ={}, say=lambda _: None)
        return launcher.train(CORPUS, config, "first", progress=progress)

    return trained


@pytest.fixture
def left(api: Any, namespace: str) -> Callable[[], list[Manifest]]:
    """The TrainJobs that are there."""
    from kubernetes import client

    custom = client.CustomObjectsApi(api)
    where = ("trainer.kubeflow.org", "v1alpha1", namespace, "trainjobs")
    return lambda: list(custom.list_namespaced_custom_object(*where)["items"])


@pytest.fixture
def trainer(api: Any, namespace: str, config: Config) -> Iterator[Callable[[Manifest], list[Manifest]]]:
    """Plays the Trainer: ends each TrainJob of the namespace with a condition, after the worker did its part."""
    from kubernetes import dynamic

    from spice.store import open_store

    jobs = dynamic.DynamicClient(api).resources.get(api_version="trainer.kubeflow.org/v1alpha1", kind="TrainJob")
    store = open_store(config.store)
    stop = threading.Event()
    threads: list[threading.Thread] = []

    def worker() -> None:
        info = {"status": "trained", "corpus": CORPUS, "base": BASE, "checkpoint": MADE}
        for n in range(1, config.training.iterations + 1):
            store.put(f"runs/first/iterations/{n:06d}.json", b"{}")
        store.put("runs/first/config.json", config.model_dump_json().encode())
        store.put("runs/first/run.json", json.dumps(info).encode())

    def play(end: Manifest, seen: list[Manifest]) -> None:
        while not stop.is_set():
            for each in jobs.get(namespace=namespace).items:
                if each.status is None:
                    seen.append(each.to_dict())
                    if end is COMPLETE:
                        worker()
                    held = {**end, "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
                    body = {"metadata": {"name": each.metadata.name}, "status": {"conditions": [held]}}
                    jobs.status.patch(body, namespace=namespace, content_type="application/merge-patch+json")
            stop.wait(0.2)

    def start(end: Manifest) -> list[Manifest]:
        seen: list[Manifest] = []
        threads.append(threading.Thread(target=play, args=(end, seen), daemon=True))
        threads[-1].start()
        return seen

    yield start
    stop.set()
    for thread in threads:
        thread.join()


def test_it_is_created_followed_and_cleaned_up(
    switch: Any, train: Any, trainer: Any, left: Callable[[], list[Manifest]]
) -> None:
    switch("false")
    seen, told = trainer(COMPLETE), []
    made = train("spice-selfplay", told)
    assert (made.ref, made.base) == (MADE, BASE)
    assert told[-1] == 3
    (found,) = seen
    assert found["spec"]["runtimePatches"][0]["manager"] == "spice"
    assert left() == []


def test_a_failure_is_told_and_cleaned_up(
    switch: Any, train: Any, trainer: Any, left: Callable[[], list[Manifest]]
) -> None:
    switch("false")
    trainer(FAILED)
    with pytest.raises(TrainingError, match="FailedJobs: jobset failed"):
        train("spice-selfplay")
    assert left() == []


def test_accounts_that_do_not_train_cannot(switch: Any, train: Any) -> None:
    switch("false")
    with pytest.raises(ClusterError, match=r"create the TrainJob .*403 .*lacks the right"):
        train("spice-promote")


def test_the_reason_of_a_policy_reaches_whoever_trains(switch: Any, train: Any) -> None:
    switch("true", "it lies")
    with pytest.raises(ClusterError, match=r"403 .*engaged: it lies") as error:
        train("spice-selfplay")
    assert "lacks the right" not in str(error.value)
