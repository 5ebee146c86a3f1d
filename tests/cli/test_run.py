"""`spice run` and `spice train` with stages that answer at once: order, resuming, interruption and output."""

from __future__ import annotations

import json
import types
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import spice
from spice import cli
from spice.config import Config, StoreConfig
from spice.errors import RefusedError, SpiceError, StoreError
from spice.store import ObjectStore, artifacts, open_store


@dataclass
class Stages:
    """Answers like `spice.stages`, remembers what was asked, and can be interrupted in a stage."""

    store: ObjectStore
    outcome: str = "pass"
    interrupt: str = ""
    held_out: int = 1
    calls: list[tuple[Any, ...]] = field(default_factory=list)

    def _called(self, *call: Any) -> None:
        self.calls.append(call)
        if call[0] == self.interrupt:
            raise KeyboardInterrupt

    def ingest(self, paths: list[Path], name: str, config: Config, progress: Callable[..., None]) -> Any:
        self._called("ingest", [path.name for path in paths], name)
        progress(1, 1, "read")
        counts = {"documents_train": 3, "documents_held_out": self.held_out, "quarantined": 2}
        ref = artifacts.write(self.store, f"datasets/{name}", {}, {"counts": counts})
        return types.SimpleNamespace(ref=ref, counts=counts)

    def train(
        self,
        corpus: str,
        config: Config,
        run: str,
        resume: bool,
        progress: Callable[..., None],
        from_iteration: int | None = None,
    ) -> Any:
        self.store.put(f"runs/{run}/config.json", config.model_dump_json().encode())
        self.store.put(f"runs/{run}/run.json", json.dumps({"status": "running", "corpus": corpus}).encode())
        back = () if from_iteration is None else (from_iteration,)
        self._called("train", corpus, config.seed, resume, *back)
        return types.SimpleNamespace(run=run, checkpoint="checkpoints/after", base="checkpoints/before")

    def evaluate(
        self, candidate: str, base: str, corpus: str, config: Config, run: str, progress: Callable[..., None]
    ) -> Any:
        self._called("evaluate", candidate, base)
        return types.SimpleNamespace(ref="evaluations/e", report={})

    def decide(self, evaluation: str, config: Config) -> Any:
        self._called("decide", evaluation)
        return types.SimpleNamespace(outcome=self.outcome, reasons=("because",))

    def coevolve(self, run: str, config: Config, progress: Callable[..., None]) -> None:
        self._called("coevolve", run)

    def request_promotion(self, decision: Any, config: Config, signer: Any, clock: Any) -> tuple[str, str | None]:
        self._called("judge", signer.name)
        return "decisions/d", "requests/r" if decision.outcome == "pass" else None


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "the store"


@pytest.fixture
def stages(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Stages:
    fake = Stages(open_store(StoreConfig(url=str(folder)), {}))
    monkeypatch.setitem(__import__("sys").modules, "spice.stages", fake)
    monkeypatch.setattr(spice, "stages", fake, raising=False)
    monkeypatch.setenv("SPICE_STORE__URL", str(folder))
    monkeypatch.setenv("SPICE_PRESET", "smoke")
    monkeypatch.setenv("SPICE_HOME", str(folder.parent / "home"))
    return fake


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def call(*args: str) -> tuple[int, str, str]:
        try:
            cli.main(args)
            code = 0
        except SystemExit as exit_:
            code = int(exit_.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    return call


def names(stages: Stages) -> list[str]:
    return [call[0] for call in stages.calls]


def test_run_goes_from_documents_to_a_request(stages: Stages, command: Any, tmp_path: Path) -> None:
    code, out, err = command("run", str(tmp_path / "My Docs"), "--run", "first")
    assert code == 0
    assert names(stages) == ["ingest", "train", "evaluate", "coevolve", "decide", "judge"]
    assert stages.calls[0] == ("ingest", ["My Docs"], "my-docs")
    assert f"spice approve requests/r --as NAME --store '{tmp_path / 'the store'}'" in out
    assert f"spice promote requests/r --store '{tmp_path / 'the store'}'" in out
    assert str(tmp_path / "the store/runs/first/report.html") in out
    assert "Documents: 3 to train on, 1 held out. Left out: 2 quarantined" in out
    assert "read 1/1" in err
    assert (tmp_path / "the store/runs/first/report.html").read_text().startswith("<!doctype html>")


@pytest.mark.parametrize("outcome", ["fail", "inconclusive"])
def test_a_gate_that_says_no_is_a_result_and_nothing_is_requested(
    outcome: str, stages: Stages, command: Any, tmp_path: Path
) -> None:
    stages.outcome = outcome
    code, out, err = command("run", str(tmp_path), "--run", "first", "--json")
    result = json.loads(out)
    assert (code, err) == (0, "")
    assert (result["outcome"], result["request"], result["reasons"]) == (outcome, None, ["because"])
    assert result["decision"] == "decisions/d", "a no is signed as well"


@pytest.mark.parametrize("stage", ["train", "evaluate"])
def test_an_interrupted_run_says_how_to_go_on_and_does(
    stage: str, stages: Stages, command: Any, folder: Path, tmp_path: Path
) -> None:
    stages.interrupt = stage
    code, out, err = command("run", str(tmp_path), "--run", "first", "--set", "seed=41")
    assert (code, out) == (130, "")
    assert f"spice run --resume first --store '{folder}'" in err.splitlines()[-1]

    stages.interrupt, stages.calls = "", []
    code, _, _ = command("run", "--resume", "first")
    assert code == 0
    assert stages.calls[0][0] == "train"
    assert stages.calls[0][2:] == (41, True), "the run keeps its own settings"


@pytest.mark.parametrize("error", [StoreError("no room"), RefusedError("the kill-switch is engaged")])
def test_a_run_that_is_stopped_from_outside_says_how_to_go_on(
    error: SpiceError, stages: Stages, command: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(stages, "evaluate", fails)
    code, _, err = command("run", str(tmp_path), "--run", "first")
    assert code == 1
    assert f"spice: {error}\n" in err
    assert "spice run --resume first --store" in err.splitlines()[-1]


def test_a_run_that_could_not_be_judged_is_refused_before_training(
    stages: Stages, command: Any, tmp_path: Path
) -> None:
    stages.held_out = 0
    code, _, err = command("run", str(tmp_path))
    assert code == 1
    assert "held-out" in err
    assert names(stages) == ["ingest"]


def test_a_taken_name_is_refused_before_any_work(stages: Stages, command: Any, tmp_path: Path) -> None:
    stages.store.put("runs/first/run.json", b"{}")
    code, _, err = command("run", str(tmp_path), "--run", "first")
    assert code == 1
    assert "--resume first" in err
    assert stages.calls == []


def test_an_interrupted_ingest_leaves_no_run_and_promises_none(stages: Stages, command: Any, tmp_path: Path) -> None:
    stages.interrupt = "ingest"
    code, _, err = command("run", str(tmp_path))
    assert code == 130
    assert "--resume" not in err


def test_train_takes_a_dataset_by_name_and_resumes_by_run(stages: Stages, command: Any) -> None:
    ref = artifacts.write(stages.store, "datasets/factbook", {"a": b"a"}, {})
    artifacts.tag(stages.store, "datasets/factbook", "latest", ref.rpartition("/")[2])
    code, out, _ = command("train", "factbook", "--run", "second", "--set", "seed=3")
    assert code == 0
    assert stages.calls == [("train", ref, 3, False)]
    assert "spice evaluate checkpoints/after" in out

    code, out, _ = command("train", "--resume", "second", "--json")
    assert code == 0
    assert stages.calls[-1] == ("train", ref, 3, True)

    assert command("train", "--resume", "second", "--from-iteration", "4")[0] == 0
    assert stages.calls[-1] == ("train", ref, 3, True, 4)
    assert command("train", "factbook", "--from-iteration", "4")[0] == 2


def test_a_made_up_run_name_begins_with_the_dataset(stages: Stages, command: Any, tmp_path: Path) -> None:
    _, out, _ = command("run", str(tmp_path), "--name", "facts", "--json")
    assert json.loads(out)["run"].startswith("facts-20")


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".", "-x", "a b", "x" * 101])
def test_a_run_name_that_is_no_folder_name_is_refused_before_any_work(
    name: str, stages: Stages, command: Any, tmp_path: Path
) -> None:
    code, _, err = command("run", str(tmp_path), f"--run={name}")
    assert code == 2
    assert "name for a run" in err
    assert stages.calls == []


def test_a_run_without_settings_cannot_be_resumed(stages: Stages, command: Any) -> None:
    stages.store.put("runs/broken/run.json", b'{"corpus": "datasets/a/b"}')
    code, _, err = command("train", "--resume", "broken")
    assert code == 1
    assert "start anew" in err
    assert stages.calls == []


def test_runs_lists_state_and_references(stages: Stages, command: Any) -> None:
    for name, info in {"a": {"status": "finished", "checkpoint": "checkpoints/" + "c" * 64}, "b": {}}.items():
        stages.store.put(f"runs/{name}/run.json", json.dumps(info).encode())
    _, out, _ = command("runs", "--json")
    assert [(run["run"], run["status"]) for run in json.loads(out)] == [("a", "finished"), ("b", "unknown")]
    _, out, _ = command("runs")
    assert "checkpoints/cccccccccccc" in out
