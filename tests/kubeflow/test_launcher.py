"""What holds of every launcher: training in this process, and in a TrainJob whose pod runs the real worker."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="NO TORCH: install the train extra to train")

from spice import stages
from spice.config import Config
from spice.errors import SpiceError, TrainingError
from spice.kubeflow import worker
from spice.kubeflow.jobs import Condition, Pod
from spice.kubeflow.launcher import Launcher, ThisProcess
from spice.kubeflow.open import open_launcher
from spice.kubeflow.trainjob import TrainJobs
from spice.settings import resolve
from spice.store import ObjectStore, artifacts

pytestmark = pytest.mark.torch
REPO = Path(__file__).parents[2]
COMPLETE = Condition("Complete", "JobsCompleted", "jobset completed successfully")
FAILED = Condition("Failed", "FailedJobs", "jobset failed")


def quiet(*_: object) -> None:
    """Progress that nobody reads."""


@pytest.fixture
def config(store: ObjectStore) -> Config:
    return resolve("smoke", sets=[f"store.url={store.url}", "training.iterations=2"]).config


@pytest.fixture
def corpus(config: Config) -> str:
    files = sorted((REPO / "examples/factbook").glob("a*.md"))
    return stages.ingest(files, "facts", config, progress=quiet).ref


@pytest.fixture(params=["this process", "TrainJob"])
def launcher(request: pytest.FixtureRequest, cluster: Any, tmp_path: Path) -> Launcher:
    if request.param == "this process":
        return ThisProcess()
    cluster.steps = [kubelet(cluster, tmp_path / "termination-log")] * 9
    return TrainJobs(cluster, sleep=lambda _: None, environ={}, say=lambda _: None)


def kubelet(cluster: Any, last_words: Path) -> Callable[[Any], None]:
    """A step that runs the container of the newest TrainJob, and tells how it ended."""

    def run(_cluster: Any) -> None:
        last_words.write_text("")
        wanted = cluster.created[-1]
        code = worker.main(wanted["spec"]["trainer"]["args"], last_words)
        name = wanted["metadata"]["name"]
        cluster.known_pods[name] = [Pod("n", "Failed" if code else "Succeeded", "", last_words.read_text(), code)]
        cluster.set(name, FAILED if code else COMPLETE)

    return run


def test_it_trains_and_repeated_gives_the_same_and_plays_nothing_again(
    launcher: Launcher, config: Config, corpus: str, store: ObjectStore
) -> None:
    told: list[int] = []

    def progress(done: int, total: int, what: str, note: str = "") -> None:
        told.append(done)

    made = launcher.train(corpus, config, "first", progress=progress)
    manifest = artifacts.manifest(store, made.ref)
    assert (manifest["corpus"], manifest["run"], manifest["base"]) == (corpus, "first", made.base)
    assert told[-1] == 2
    played = {info.key: info.modified for info in store.list("runs/first/iterations/")}

    other = config.model_copy(update={"seed": 99})
    assert launcher.train(corpus, other, "first", progress=quiet) == made, "a run keeps its own settings"
    assert {info.key: info.modified for info in store.list("runs/first/iterations/")} == played


def test_a_failure_is_told_in_words(launcher: Launcher, config: Config, corpus: str, store: ObjectStore) -> None:
    manifest = artifacts.manifest(store, corpus)
    shard = next(name for name in manifest["files"] if name.startswith("segments-"))
    store.put(f"{corpus}/{shard}", b"damaged")
    with pytest.raises(SpiceError, match=r"SHA-256|changed after it was written"):
        launcher.train(corpus, config, "first", progress=quiet)


def test_it_does_not_train_while_the_switch_cannot_be_read(
    launcher: Launcher, config: Config, corpus: str, store: ObjectStore
) -> None:
    store.put("switch.json", b"\xff")
    with pytest.raises(SpiceError, match="switch"):
        launcher.train(corpus, config, "first", progress=quiet)
    assert store.head("runs/first/run.json") is None


def test_the_name_of_a_run_on_other_documents_is_taken(
    launcher: Launcher, config: Config, corpus: str, store: ObjectStore
) -> None:
    store.put("runs/first/run.json", json.dumps({"corpus": "datasets/other/" + "d" * 64}).encode())
    with pytest.raises(TrainingError, match="another name"):
        launcher.train(corpus, config, "first", progress=quiet)


def test_the_worker_refuses_what_another_version_sent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    last_words = tmp_path / "termination-log"
    last_words.touch()
    assert worker.main(["datasets/a/b", "first", '{"no_such": 1}'], last_words) == 2
    assert "same version" in last_words.read_text()
    assert "same version" in capsys.readouterr().err


def test_the_worker_trains_no_other_model_than_the_one_it_was_admitted_with(
    config: Config, corpus: str, store: ObjectStore, tmp_path: Path
) -> None:
    last_words = tmp_path / "termination-log"
    last_words.touch()
    other = config.model_copy(update={"model": config.model.model_copy(update={"name": "another/model"})})
    store.put("runs/first/run.json", json.dumps({"corpus": corpus}).encode())
    store.put("runs/first/config.json", other.model_dump_json().encode())
    assert worker.main([corpus, "first", config.model_dump_json()], last_words) != 0
    assert "another/model" in last_words.read_text()
    assert not [*store.list("runs/first/iterations/")]


def test_the_setting_chooses_the_launcher(config: Config) -> None:
    assert isinstance(open_launcher(config), ThisProcess)
