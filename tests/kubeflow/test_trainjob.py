"""A TrainJob from its creation to its end, in every way that it can end."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from spice.config import Config
from spice.errors import ClusterError, RefusedError, SpiceError, StoreError, TrainingError
from spice.kubeflow.jobs import Condition, Pod
from spice.kubeflow.launcher import Checkpoint
from spice.kubeflow.manifest import job_name
from spice.kubeflow.trainjob import TrainJobs
from spice.settings import resolve
from spice.store import ObjectStore

CORPUS = "datasets/facts/" + "a" * 64
MADE = Checkpoint("checkpoints/" + "c" * 64, "checkpoints/" + "b" * 64)
COMPLETE = Condition("Complete", "JobsCompleted", "jobset completed successfully")
FAILED = Condition("Failed", "FailedJobs", "jobset failed")
SUSPENDED = Condition("Suspended", "Suspended", "TrainJob is suspended")
NAME = job_name("first", 0)
SECOND = job_name("first", 1)


@dataclass
class Told:
    """What the launcher said."""

    progress: list[tuple[int, int, str, str]]
    lines: list[str]
    naps: list[float]


@pytest.fixture
def told() -> Told:
    return Told([], [], [])


@pytest.fixture
def config(store: ObjectStore) -> Config:
    return resolve("smoke", sets=[f"store.url={store.url}", "kubeflow.restarts=2"]).config


@pytest.fixture
def train(cluster: Any, config: Config, told: Told) -> Callable[[], Checkpoint]:
    """Trains the run `first` in the fake cluster."""
    launcher = TrainJobs(cluster, sleep=told.naps.append, environ={}, say=told.lines.append)

    def progress(done: int, total: int, what: str, note: str = "") -> None:
        told.progress.append((done, total, what, note))

    return lambda: launcher.train(CORPUS, config, "first", progress=progress)


@pytest.fixture
def plays(store: ObjectStore, config: Config) -> Callable[..., Callable[[Any], None]]:
    """A step in which the worker plays up to an iteration, and in the end leaves the checkpoint."""

    def step(iteration: int, *, trained: bool = False) -> Callable[[Any], None]:
        def play(_cluster: Any) -> None:
            info = {"status": "training", "corpus": CORPUS, "base": MADE.base}
            if trained:
                info |= {"status": "trained", "checkpoint": MADE.ref}
            store.put("runs/first/run.json", json.dumps(info).encode())
            store.put("runs/first/config.json", config.model_dump_json().encode())
            for n in range(1, iteration + 1):
                store.put(f"runs/first/iterations/{n:06d}.json", b"{}")

        return play

    return step


def ends(name: str, *conditions: Condition, pods: list[Pod] | None = None) -> Callable[[Any], None]:
    def step(cluster: Any) -> None:
        cluster.known_pods[name] = pods or []
        cluster.set(name, *conditions)

    return step


def says(name: str, *lines: tuple[str, str]) -> Callable[[Any], None]:
    def step(cluster: Any) -> None:
        pod = f"{name}-node-0-0"
        cluster.known_pods[name] = [Pod(pod, "Running")]
        cluster.lines[pod] = [*cluster.lines.get(pod, []), *lines]

    return step


def test_it_is_followed_to_its_end_and_cleaned_up(cluster: Any, train: Any, told: Told, plays: Any) -> None:
    cluster.steps = [
        says(NAME, ("01", "loading"), ("02", "train 0/3")),
        plays(1),
        says(NAME, ("03", "train 1/3")),
        plays(3, trained=True),
        ends(NAME, COMPLETE),
    ]
    assert train() == MADE
    assert [done for done, *_ in told.progress] == [0, 1, 3]
    assert {(total, what) for _, total, what, _ in told.progress} == {(3, "train")}
    pod = f"{NAME}-node-0-0"
    assert told.lines == [f"{pod}: loading", f"{pod}: train 0/3", f"{pod}: train 1/3"], "each line once"
    assert (cluster.deleted, cluster.objects) == ([NAME], {})


def test_waiting_in_a_queue_is_told(cluster: Any, train: Any, told: Told, plays: Any) -> None:
    cluster.steps = [ends(NAME, SUSPENDED), plays(3, trained=True), ends(NAME, COMPLETE)]
    train()
    assert told.progress[0] == (0, 3, "train", "waits for its turn")


@pytest.mark.parametrize(
    ("pods", "says_"),
    [
        ([Pod("n", "Failed", "OOMKilled", exit_code=137)], "out of memory"),
        ([Pod("n", "Failed", "Error", "the dataset is damaged", 1)], "the dataset is damaged"),
        ([], "FailedJobs: jobset failed"),
    ],
    ids=["out of memory", "last words", "condition"],
)
def test_a_failure_is_told_with_its_reason_and_not_repeated(
    pods: list[Pod], says_: str, cluster: Any, train: Any
) -> None:
    cluster.steps = [ends(NAME, FAILED, pods=pods)]
    with pytest.raises(TrainingError, match=says_):
        train()
    assert len(cluster.created) == 1
    assert cluster.objects == {}


def test_without_last_words_the_end_of_the_log_is_the_reason(cluster: Any, train: Any) -> None:
    cluster.steps = [
        says(NAME, ("01", "loading"), ("02", "Segmentation fault")),
        lambda c: c.set(NAME, FAILED),
    ]
    with pytest.raises(TrainingError, match="Segmentation fault"):
        train()


def test_what_the_cluster_interrupts_goes_on_in_another_trainjob(cluster: Any, train: Any, plays: Any) -> None:
    cluster.steps = [
        plays(1),
        ends(NAME, FAILED, pods=[Pod("n", "Failed", "Evicted", disrupted=True)]),
        plays(3, trained=True),
        ends(SECOND, COMPLETE),
    ]
    assert train() == MADE
    assert [one["metadata"]["name"] for one in cluster.created] == [NAME, SECOND]
    assert cluster.objects == {}


def test_a_cluster_that_always_interrupts_is_given_up(cluster: Any, train: Any) -> None:
    lost = [Pod("n", "Failed", "Preempting", disrupted=True)]
    cluster.steps = [ends(job_name("first", n), FAILED, pods=lost) for n in range(3)]
    with pytest.raises(TrainingError, match="interrupted the training of first 3 times"):
        train()
    assert cluster.objects == {}


def test_a_cancelled_pipeline_cancels_its_trainjob(cluster: Any, train: Any) -> None:
    before = signal.getsignal(signal.SIGTERM)
    cluster.steps = [lambda _: os.kill(os.getpid(), signal.SIGTERM)]
    with pytest.raises(KeyboardInterrupt):
        train()
    assert (cluster.deleted, cluster.objects) == ([NAME], {})
    assert signal.getsignal(signal.SIGTERM) is before


def test_one_that_somebody_deletes_is_not_made_again(cluster: Any, train: Any) -> None:
    cluster.steps = [lambda c: c.vanish(NAME)]
    with pytest.raises(TrainingError, match="deleted by someone else"):
        train()
    assert len(cluster.created) == 1


def test_forgotten_versions_do_no_harm(cluster: Any, train: Any, plays: Any) -> None:
    cluster.steps = [lambda c: c.forget(), plays(3, trained=True), ends(NAME, COMPLETE)]
    assert train() == MADE


def fails(error: SpiceError) -> Callable[[Any], None]:
    def step(_cluster: Any) -> None:
        raise error

    return step


@pytest.mark.parametrize("error", [ClusterError("the API server is away"), StoreError("the store is away")])
def test_an_outage_is_waited_for_while_the_pod_trains_on(
    error: SpiceError, cluster: Any, train: Any, told: Told, plays: Any
) -> None:
    cluster.steps = [*[fails(error)] * 5, plays(3, trained=True), ends(NAME, COMPLETE)]
    assert train() == MADE
    assert len(told.naps) == 5


def test_an_outage_without_end_is_not(cluster: Any, train: Any, told: Told) -> None:
    cluster.steps = [fails(ClusterError("the API server is away"))] * 100
    with pytest.raises(ClusterError, match="is away"):
        train()
    assert sum(told.naps) >= 120
    assert cluster.deleted == [NAME]


def test_one_that_is_there_already_is_followed(cluster: Any, train: Any, plays: Any) -> None:
    cluster.create({"metadata": {"name": NAME}})
    cluster.steps = [plays(3, trained=True), ends(NAME, COMPLETE)]
    assert train() == MADE
    assert len(cluster.created) == 1


@pytest.mark.parametrize("left", [COMPLETE, FAILED], ids=["complete", "failed"])
def test_one_that_is_left_over_is_removed_and_another_made(
    left: Condition, cluster: Any, train: Any, plays: Any
) -> None:
    cluster.create({"metadata": {"name": NAME}})
    cluster.set(NAME, left)
    cluster.steps = [plays(3, trained=True), ends(SECOND, COMPLETE)]
    assert train() == MADE
    assert cluster.deleted == [NAME, SECOND]


def test_nothing_is_created_while_the_switch_cannot_be_read(cluster: Any, train: Any, store: ObjectStore) -> None:
    store.put("switch.json", b"\xff not a switch")
    with pytest.raises(RefusedError):
        train()
    assert cluster.created == []


def test_a_run_of_other_documents_is_not_gone_on_with(cluster: Any, train: Any, store: ObjectStore) -> None:
    store.put("runs/first/run.json", json.dumps({"corpus": "datasets/other/" + "d" * 64}).encode())
    with pytest.raises(TrainingError, match="another name"):
        train()
    assert cluster.created == []


def test_a_run_that_is_trained_asks_for_no_gpu_again(cluster: Any, train: Any, plays: Any) -> None:
    plays(3, trained=True)(cluster)
    assert train() == MADE
    assert cluster.created == []


def test_a_trainjob_that_ends_well_without_a_checkpoint_is_no_success(cluster: Any, train: Any, plays: Any) -> None:
    cluster.steps = [plays(1), ends(NAME, COMPLETE)]
    with pytest.raises(TrainingError, match="another store"):
        train()


def test_a_clean_up_that_fails_does_not_hide_the_result(
    cluster: Any, train: Any, plays: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_name: str, _uid: str) -> None:
        raise ClusterError("Could not delete: 403 Forbidden.")

    monkeypatch.setattr(cluster, "delete", refuse)
    cluster.steps = [plays(3, trained=True), ends(NAME, COMPLETE)]
    assert train() == MADE
    assert f"kubectl delete trainjob {NAME}" in caplog.text
