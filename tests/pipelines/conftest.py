"""Pipelines run by kfp.local: every task in a process of its own, on a store in a folder."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("kfp", reason="NO KFP: install the kubeflow extra to run the pipelines")
pytest.importorskip("torch", reason="NO TORCH: install the train extra to run the pipelines")

from kfp import local
from kfp.local.orchestrator import task_executor

from spice.config import StoreConfig
from spice.kubeflow import compiling
from spice.store import ObjectStore, open_store

REPO = Path(__file__).parents[2]
DOCUMENTS = sorted((REPO / "examples/factbook").glob("[a-m]*.md"))
"""As few as hold out the ten documents that the gate asks for."""

SETTINGS = [
    "training.iterations=1",
    "evaluation.cloze_items=16",
    "evaluation.reasoning_items=10",
    "evaluation.coevolution_documents=0",
    "evaluation.bootstrap_samples=100",
]
# A model trained for one iteration shows nothing. These let the real gate say pass, so that what follows can be seen.
LENIENT = ["promotion.min_improvement=-1.0", "promotion.regression_margin=1.0", "promotion.max_contamination=1.0"]


@dataclass
class Bench:
    """A store, the keys of a user, and a place for what the tasks leave."""

    folder: Path
    _jobs: Iterator[int] = field(default_factory=itertools.count)

    @property
    def settings(self) -> list[str]:
        """What every job sets besides the preset."""
        return [*SETTINGS, *LENIENT]

    @property
    def url(self) -> str:
        """The store's address."""
        return str(self.folder / "store")

    @property
    def store(self) -> ObjectStore:
        """The store."""
        return open_store(StoreConfig(url=self.url))

    def documents(self, files: list[Path] = DOCUMENTS) -> str:
        """A folder that holds exactly these files."""
        target = self.folder / "documents"
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        for file in files:
            shutil.copy(file, target)
        return str(target)

    def run(self, pipeline: str, **arguments: Any) -> Job:
        """Run a pipeline to its end, well or not, with the preset `smoke`."""
        root = self.folder / f"job-{next(self._jobs)}"
        local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(root), raise_on_error=False)
        function = compiling.load(pipeline)
        defaults = {"preset": "smoke", "settings": self.settings, "store": self.url}
        with pytest.warns(UserWarning), pytest.MonkeyPatch.context() as patch:  # resources mean nothing here
            patch.setattr(task_executor, "time", SimpleNamespace(sleep=lambda _seconds: None))
            function(**{**defaults, **arguments})
        return Job(root)


@dataclass(frozen=True)
class Job:
    """What the tasks of a job left."""

    root: Path

    @property
    def finished(self) -> dict[str, dict[str, Any]]:
        """By task, what its executor wrote when it ended well; kfp.local reports success for tasks it skipped too."""
        return {
            path.parent.name: json.loads(path.read_text()) for path in sorted(self.root.rglob("executor_output.json"))
        }

    @property
    def tasks(self) -> set[str]:
        """The tasks that really ran to their end."""
        return set(self.finished)

    def returned(self, task: str) -> str:
        """What a task returned."""
        return str(self.finished[task]["parameterValues"]["Output"])

    def metadata(self, task: str, artifact: str) -> dict[str, Any]:
        """The metadata of an artifact that a task wrote."""
        return dict(self.finished[task]["artifacts"][artifact]["artifacts"][0]["metadata"])

    def content(self, task: str, artifact: str) -> str:
        """The content of an artifact that a task wrote."""
        return Path(self.finished[task]["artifacts"][artifact]["artifacts"][0]["uri"]).read_text()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bench, Job]:
    """A bench on which `selfplay` has run to a request, once for all tests."""
    bench = Bench(tmp_path_factory.mktemp("bench"))
    with _home(bench.folder / "home"):
        job = bench.run("selfplay", documents=bench.documents(), name="facts", run="first", gpus="0", requester="local")
    return bench, job


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Bench]:
    """A bench on which nothing has run."""
    with _home(tmp_path / "home"):
        yield Bench(tmp_path)


@pytest.fixture
def bench(trained: tuple[Bench, Job], tmp_path: Path) -> Iterator[Bench]:
    """A copy of that bench, to go on from."""
    shutil.copytree(trained[0].folder, tmp_path / "bench")
    with _home(tmp_path / "bench/home"):
        yield Bench(tmp_path / "bench", itertools.count(1))


@contextmanager
def _home(folder: Path) -> Iterator[None]:
    """The user's folder for keys and the cache for models, in the environment that the tasks inherit."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPICE_HOME", str(folder))
        patch.setenv("SPICE_CACHE", str(folder.parent / "cache"))
        patch.setenv("OMP_NUM_THREADS", "1")
        yield
