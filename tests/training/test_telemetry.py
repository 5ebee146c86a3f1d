"""Figures arrive in MLflow's file store and in offline Weights & Biases, where their clients are installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from spice.config import Config
from spice.errors import ConfigError
from spice.settings import resolve
from spice.training.telemetry import figures, open_sink

RECORD = {"iteration": 3, "learner": {"loss": 0.5, "mfu": None, "ok": True}, "warnings": ["w"], "bad": float("nan")}


def settings(*sets: str) -> Config:
    return resolve("smoke", environ={}, sets=list(sets)).config


def test_figures_are_the_finite_numbers() -> None:
    assert dict(figures(RECORD)) == {"iteration": 3.0, "learner.loss": 0.5}


def test_without_a_sink_nothing_happens() -> None:
    sink = open_sink(settings(), "r")
    sink.log(1, RECORD)
    sink.close()


@pytest.mark.parametrize(("sink", "package"), [("mlflow", "mlflow"), ("wandb", "wandb")])
def test_a_missing_client_is_named(sink: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, package, None)
    with pytest.raises(ConfigError, match=f"telemetry.sink={sink} needs its client"):
        open_sink(settings(f"telemetry.sink={sink}"), "r")


def test_mlflow_has_every_iteration_and_a_resumed_run_goes_on_there(tmp_path: Path) -> None:
    mlflow = pytest.importorskip("mlflow", reason="NO MLFLOW: pip install mlflow-skinny to run this test")
    config = settings("telemetry.sink=mlflow", f"telemetry.uri={tmp_path.as_uri()}", "telemetry.project=p")
    for iterations in ((1, 2), (2, 3)):
        sink = open_sink(config, "r")
        for iteration in iterations:
            sink.log(iteration, RECORD)
        sink.close()
    client = mlflow.MlflowClient(tracking_uri=tmp_path.as_uri())
    (run,) = client.search_runs([client.get_experiment_by_name("p").experiment_id])
    assert run.info.run_name == "r"
    assert {point.step for point in client.get_metric_history(run.info.run_id, "learner.loss")} == {1, 2, 3}


def test_weights_and_biases_takes_iterations_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb", reason="NO WANDB: pip install wandb to run this test")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    sink = open_sink(settings("telemetry.sink=wandb"), "r")
    sink.log(1, RECORD)
    sink.close()
    assert list(tmp_path.rglob("*.wandb"))
