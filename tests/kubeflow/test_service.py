"""The client of Kubeflow Pipelines and its verb, against a service on loopback that speaks what they use of v2beta1."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import kfp_server_api as api
import pytest
import yaml

from spice import cli
from spice.config import KubeflowConfig, StoreConfig
from spice.errors import ClusterError, ConfigError
from spice.kubeflow.service import Service
from spice.store import artifacts, open_store

ROOT = "/apis/v2beta1"
REPO = Path(__file__).parents[2]
TEXT = (REPO / "pipelines/compiled/selfplay.yaml").read_text()


def wire(model: Any) -> Any:
    """A model of the API as it goes over the wire."""
    return api.ApiClient().sanitize_for_serialization(model)


@dataclass
class Pipelines:
    """The service's state and its answers."""

    pipelines: list[Any] = field(default_factory=list)
    versions: list[Any] = field(default_factory=list)
    experiments: list[Any] = field(default_factory=list)
    runs: dict[str, Any] = field(default_factory=dict)
    recurring: list[dict[str, Any]] = field(default_factory=list)
    refuse: tuple[int, str] | None = None
    authorization: list[str] = field(default_factory=list)
    _ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> tuple[int, Any]:
        if self.refuse:
            return self.refuse[0], {"error": self.refuse[1], "code": 7, "message": self.refuse[1]}
        path = path.removeprefix(ROOT)
        if path == "/healthz":
            return 200, {"multi_user": False}
        if path == "/pipelines" and method == "GET":
            (predicate,) = json.loads(query["filter"])["predicates"]
            wanted = predicate["stringValue"]
            return 200, {"pipelines": [wire(one) for one in self.pipelines if one.display_name == wanted]}
        if path == "/pipelines" and method == "POST":
            self.pipelines.append(api.V2beta1Pipeline(pipeline_id=self.new("p"), display_name=body["display_name"]))
            return 200, wire(self.pipelines[-1])
        if path == "/pipelines/upload_version":
            self.authorization.append(query["Authorization"])
            return 200, self.upload(query, body)
        if match := re.fullmatch(r"/pipelines/([^/]+)/versions", path):
            found = [wire(one) for one in reversed(self.versions) if one.pipeline_id == match[1]]
            return 200, {"pipeline_versions": found[: int(query["page_size"])]}
        if path == "/experiments" and method == "GET":
            return 200, {"experiments": [wire(one) for one in self.experiments]}
        if path == "/experiments":
            made = api.V2beta1Experiment(experiment_id=self.new("e"), display_name=body["display_name"])
            self.experiments.append(made)
            return 200, wire(made)
        if path == "/runs":
            run = body | {"run_id": self.new("r"), "state": "PENDING"}
            self.runs[run["run_id"]] = run
            return 200, run
        if path == "/recurringruns":
            self.recurring.append(body | {"recurring_run_id": self.new("s")})
            return 200, self.recurring[-1]
        if path.startswith("/runs/") and path.rpartition("/")[2] in self.runs:
            return 200, self.runs[path.rpartition("/")[2]]
        return 404, {"error": f"{path} not found", "code": 5, "message": f"{path} not found"}

    def new(self, kind: str) -> str:
        return f"{kind}{next(self._ids)}"

    def upload(self, query: dict[str, str], body: bytes) -> Any:
        """The service stores both documents of a file under one head."""
        text = body.partition(b"\r\n\r\n")[2].rpartition(b"\r\n--")[0]
        spec, platform = yaml.safe_load_all(text)
        version = api.V2beta1PipelineVersion(
            pipeline_id=query["pipelineid"],
            pipeline_version_id=self.new("v"),
            display_name=query["name"],
            pipeline_spec={"pipeline_spec": spec, "platform_spec": platform},
        )
        self.versions.append(version)
        return wire(version)


@pytest.fixture
def pipelines() -> Pipelines:
    return Pipelines()


@pytest.fixture
def address(pipelines: Pipelines, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    from kfp.client import Client

    served = request.getfixturevalue("serve")
    with pytest.MonkeyPatch.context() as patch:
        # What the client remembers of other services in the user's home must not decide a test.
        patch.setattr(Client, "_LOCAL_KFP_CONTEXT", str(tmp_path / "context.json"))
        for name in ("KF_PIPELINES_ENDPOINT", "KF_PIPELINES_SA_TOKEN_PATH"):
            patch.delenv(name, raising=False)
        with served(pipelines.answer) as found:
            yield found


@pytest.fixture
def service(address: str) -> Service:
    return Service(KubeflowConfig(host=address))


def test_uploading_makes_a_pipeline_with_a_version_named_by_its_content(service: Service, pipelines: Pipelines) -> None:
    first = service.upload("selfplay", TEXT)
    assert (first.name, first.new) == ("spice-selfplay", True)
    again = service.upload("selfplay", TEXT)
    assert (again.version_id, again.new) == (first.version_id, False)
    changed = service.upload("selfplay", TEXT + "\n# changed\n")
    assert changed.new
    assert changed.pipeline_id == first.pipeline_id
    assert changed.version != first.version
    assert [one.display_name for one in pipelines.pipelines] == ["spice-selfplay"]
    assert len(pipelines.versions) == 2


def test_a_submitted_job_runs_the_newest_version_under_the_charts_account(
    service: Service, pipelines: Pipelines, address: str
) -> None:
    service.upload("selfplay", TEXT)
    newest = service.upload("selfplay", TEXT + "\n# changed\n")
    given = {"documents": "s3://docs/all", "settings": '["seed=1"]', "gpus": "2"}
    started = service.submit("selfplay", given, "my job")
    (run,) = pipelines.runs.values()
    assert run["runtime_config"]["parameters"] == {"documents": "s3://docs/all", "settings": ["seed=1"], "gpus": "2"}
    assert run["pipeline_version_reference"]["pipeline_version_id"] == newest.version_id
    assert (run["display_name"], run["service_account"]) == ("my job", "spice-selfplay")
    assert started.page == f"{address}/#/runs/details/{started.id}"
    assert [one.display_name for one in pipelines.experiments] == ["spice"]


def test_what_releases_runs_under_an_account_of_its_own(service: Service, pipelines: Pipelines) -> None:
    service.upload("promote", (REPO / "pipelines/compiled/promote.yaml").read_text())
    service.submit("promote", {"request": "requests/" + "a" * 64}, "go")
    service.submit("promote", {"request": "requests/" + "a" * 64}, "go", "someone-else")
    assert [run["service_account"] for run in pipelines.runs.values()] == ["spice-promote", "someone-else"]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "selfplay needs documents: Where the documents are"),
        ({"documents": "d", "presett": "smoke"}, "no parameter 'presett'; the nearest is preset"),
        ({"documents": "d", "settings": "seed=1"}, "is not JSON"),
    ],
)
def test_arguments_are_checked_before_anything_starts(
    given: dict[str, str], says: str, service: Service, pipelines: Pipelines
) -> None:
    service.upload("selfplay", TEXT)
    with pytest.raises(ConfigError, match=re.escape(says)):
        service.submit("selfplay", given, "job")
    assert pipelines.runs == {}


def test_a_pipeline_that_is_not_there_is_told(service: Service) -> None:
    with pytest.raises(ConfigError, match="spice pipeline upload"):
        service.submit("selfplay", {"documents": "d"}, "job")


def test_a_schedule_starts_one_at_a_time_and_catches_nothing_up(service: Service, pipelines: Pipelines) -> None:
    service.upload("nightly", (REPO / "pipelines/compiled/nightly.yaml").read_text())
    service.schedule("nightly", {"documents": "s3://docs/all"}, "nights", "0 0 2 * * *")
    (made,) = pipelines.recurring
    assert made["trigger"]["cron_schedule"]["cron"] == "0 0 2 * * *"
    assert (int(made["max_concurrency"]), made["no_catchup"]) == (1, True)


def test_the_state_of_a_job_and_its_tasks_is_read(service: Service, pipelines: Pipelines) -> None:
    tasks = [
        api.V2beta1PipelineTaskDetail(task_id="1", display_name="ingest", state="SUCCEEDED"),
        api.V2beta1PipelineTaskDetail(
            task_id="2", display_name="train", state="FAILED", error=api.GoogleRpcStatus(message="no GPU")
        ),
    ]
    run = api.V2beta1Run(
        run_id="r9", display_name="my job", state="FAILED", run_details=api.V2beta1RunDetails(task_details=tasks)
    )
    pipelines.runs["r9"] = wire(run)
    found = service.status("r9")
    assert (found.name, found.state) == ("my job", "FAILED")
    assert [(task.name, task.state, task.error) for task in found.tasks] == [
        ("ingest", "SUCCEEDED", ""),
        ("train", "FAILED", "no GPU"),
    ]
    with pytest.raises(ClusterError, match="404"):
        service.status("r10")


def test_a_refusal_is_told_with_the_services_words(service: Service, pipelines: Pipelines) -> None:
    pipelines.refuse = (403, "User 'anna' is not authorized")
    with pytest.raises(ClusterError, match=r"403 .*User 'anna' is not authorized"):
        service.upload("selfplay", TEXT)


def test_a_token_is_sent_if_there_is_one(
    address: str, pipelines: Pipelines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text("abc")
    monkeypatch.setenv("KF_PIPELINES_SA_TOKEN_PATH", str(tmp_path / "token"))
    Service(KubeflowConfig(host=address)).upload("selfplay", TEXT)
    assert pipelines.authorization == ["Bearer abc"]


@pytest.fixture
def command(
    address: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    monkeypatch.setenv("SPICE_KUBEFLOW__HOST", address)

    def call(*args: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            cli.main(args)
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return call


def test_the_verb_uploads_starts_and_looks(command: Any, pipelines: Pipelines) -> None:
    code, out, _ = command("pipeline", "upload", "--image", "r/spice:1", "--json")
    assert code == 0
    assert {one["name"] for one in json.loads(out)} == {
        f"spice-{path.stem}" for path in (REPO / "pipelines/compiled").iterdir()
    }
    code, out, _ = command("pipeline", "submit", "selfplay", "-p", "documents=s3://docs/all", "-p", "gpus=0", "--json")
    assert code == 0
    job = json.loads(out)["id"]
    code, out, _ = command("pipeline", "status", job)
    assert code == 0
    assert "PENDING" in out
    pipelines.runs[job]["state"] = "FAILED"
    assert command("pipeline", "status", job)[0] == 1
    assert command("pipeline", "submit", "selfplay", "-p", "documents")[0] == 2


@pytest.mark.integration
def test_a_run_on_kubeflow_takes_the_arguments_of_a_run_here(
    command: Any, pipelines: Pipelines, s3_store_config: StoreConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPICE_STORE__URL", s3_store_config.url)
    monkeypatch.setenv("SPICE_STORE__ENDPOINT", str(s3_store_config.endpoint))
    monkeypatch.setenv("SPICE_STORE__SECURE", "false")
    command("pipeline", "upload")
    code, out, err = command(
        "run",
        "s3://docs/handbook",
        "--on",
        "kubeflow",
        "--name",
        "handbook",
        "--run",
        "first",
        "--preset",
        "smoke",
        "--set",
        "training.iterations=7",
        "--set",
        "recipe.formats=multiple_choice",
        "--json",
    )
    assert code == 0, err
    (run,) = pipelines.runs.values()
    assert json.loads(out)["run"] == "first"
    assert run["runtime_config"]["parameters"] == {
        "documents": "s3://docs/handbook",
        "name": "handbook",
        "preset": "smoke",
        "settings": ['recipe.formats=["multiple_choice"]', "training.iterations=7"],
        "run": "first",
        "launcher": "pod",
        "gpus": "1",
        "store": s3_store_config.url,
    }

    store = open_store(s3_store_config)
    corpus = artifacts.write(store, "datasets/handbook", {"a": b"a"}, {})
    store.put("runs/first/run.json", json.dumps({"corpus": corpus}).encode())
    store.put("runs/first/config.json", b"{}")
    code, out, err = command("run", "--resume", "first", "--on", "kubeflow", "--preset", "smoke", "--json")
    assert code == 0, err
    again = list(pipelines.runs.values())[-1]["runtime_config"]["parameters"]
    assert (again["documents"], again["run"]) == (corpus, "first")
    assert command("run", "s3://docs/handbook", "--on", "kubeflow", "--run", "first")[0] == 1


def test_a_store_out_of_the_clusters_reach_is_refused(command: Any, tmp_path: Path, pipelines: Pipelines) -> None:
    code, _, err = command("run", str(tmp_path), "--on", "kubeflow", "--store", str(tmp_path / "store"))
    assert code == 2
    assert "s3://bucket/prefix" in err
    assert pipelines.runs == {}
