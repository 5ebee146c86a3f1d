"""The pipeline `selfplay` by kfp.local's DockerRunner, every task in a container of the built image."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spice import __version__

pytest.importorskip("docker", reason="NO DOCKER CLIENT: install docker (the dev extra)")
pytest.importorskip("kfp", reason="NO KFP: install the kubeflow extra to run the pipelines")

ROOT = Path(__file__).parents[2]
SETTINGS = [
    "training.iterations=1",
    "evaluation.cloze_items=16",
    "evaluation.reasoning_items=10",
    "evaluation.coevolution_documents=0",
    "evaluation.bootstrap_samples=100",
]
# A model trained for one iteration shows nothing. These let the real gate say pass, so that what follows can be seen.
LENIENT = ["promotion.min_improvement=-1.0", "promotion.regression_margin=1.0", "promotion.max_contamination=1.0"]
STRICT = [*LENIENT, "promotion.min_improvement=0.99"]

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(5400)]


@pytest.fixture(scope="module")
def folder(
    images: Any, docker: Callable[..., subprocess.CompletedProcess[str]], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """What the containers share: documents, the store, and what tasks hand on. They run as nobody in particular."""
    assert docker("tag", images.names["cpu"], f"spice:{__version__}").returncode == 0, "as the components name it"
    shared = tmp_path_factory.mktemp("shared")
    shared.chmod(0o777)
    (shared / "documents").mkdir()
    for file in sorted((ROOT / "examples/factbook").glob("[a-m]*.md")):
        shutil.copy(file, shared / "documents")
    return shared


@pytest.fixture(scope="module")
def run(folder: Path) -> Callable[..., dict[str, dict[str, Any]]]:
    """Runs `selfplay` to its end; returns by task what its executor wrote when it ended well."""
    from kfp import local

    from spice.kubeflow import compiling

    runner = local.DockerRunner(
        read_only=True,
        tmpfs={"/tmp": "size=2g"},
        cap_drop=["ALL"],
        network_mode="none",
        environment={"SPICE_HOME": str(folder / "home"), "OMP_NUM_THREADS": "1"},
    )
    fixed = {"name": "facts", "run": "first", "gpus": "0", "requester": "local", "preset": "smoke"}

    def selfplay(**given: Any) -> dict[str, dict[str, Any]]:
        # Its root is all that a container sees of the machine's files.
        local.init(runner, pipeline_root=str(folder), raise_on_error=False)
        before = set(folder.rglob("executor_output.json"))
        with pytest.warns(UserWarning):  # resources mean nothing here
            compiling.load("selfplay")(**fixed, **given, store=str(folder / "store"))
        written = set(folder.rglob("executor_output.json")) - before
        return {path.parent.name: json.loads(path.read_text()) for path in written}

    return selfplay


def test_every_task_runs_to_a_request(run: Callable[..., Any], folder: Path) -> None:
    ran = run(documents=str(folder / "documents"), settings=[*SETTINGS, *LENIENT])
    assert ran.keys() == {"ingest", "train", "evaluate", "gate", "request-promotion", "record-outcome"}
    assert ran["gate"]["parameterValues"]["Output"] == "pass"
    assert {path.stat().st_uid for path in (folder / "store").rglob("*")} == {10001}


def test_a_gate_that_says_no_stops_the_request(run: Callable[..., Any], folder: Path) -> None:
    ran = run(documents="datasets/facts", settings=[*SETTINGS, *STRICT])
    assert ran.keys() == {"ingest", "train", "evaluate", "gate", "record-outcome"}
    assert ran["gate"]["parameterValues"]["Output"] in ("fail", "inconclusive")
    assert ran["record-outcome"]["parameterValues"]["Output"] == "SUCCEEDED"
