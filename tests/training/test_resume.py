"""`kill -9` at any write, then resume: the same weights, byte for byte, as a run that nobody disturbed."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from spice.errors import RefusedError, TrainingError
from spice.settings import resolve
from spice.store import artifacts, open_store

pytest.importorskip("torch")

REPO = Path(__file__).parents[2]
RUN = "r"
PLAY = """
import os, signal, sys
from spice import stages
from spice.settings import resolve
from spice.store.folder import FolderStore

store, corpus, kill_at, resume = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4] == "resume"
count = 0

def counted(method):
    def write(self, *args, **kwargs):
        global count
        count += 1
        if count == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return method(self, *args, **kwargs)
    return write

for name in ("put", "put_file", "create", "swap", "delete"):
    setattr(FolderStore, name, counted(getattr(FolderStore, name)))
config = resolve("smoke", environ={}, sets=[f"store.url={store}"]).config
stages.train(corpus, config, "r", resume=resume, progress=lambda *_: None)
print(count)
"""


def play(store: Path, corpus: str, kill_at: int = 0, resume: bool = False) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", PLAY, str(store), corpus, str(kill_at), "resume" if resume else "start"]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, env=env, check=False)


def smoke(store: Path, *sets: str):
    return resolve("smoke", environ={}, sets=[f"store.url={store}", *sets]).config


def ingested(store: Path) -> str:
    from spice import stages

    sources = sorted((REPO / "examples/factbook").glob("a*.md"))
    return stages.ingest(sources, "docs", smoke(store), progress=lambda *_: None).ref


def weights(store: Path) -> list[tuple[int, str]]:
    """Iteration and weight digest of every checkpoint of the run."""
    opened = open_store(smoke(store).store)
    state = json.loads(opened.get(f"runs/{RUN}/state.json"))
    return [(n, artifacts.files(opened, ref)["model.safetensors"].sha256) for n, ref in state["checkpoints"]]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> tuple[str, list[tuple[int, str]], dict[str, bytes], int]:
    """Corpus reference, weights, task files and number of writes of a run that nobody disturbed."""
    store = tmp_path_factory.mktemp("undisturbed")
    corpus = ingested(store)
    done = play(store, corpus)
    assert done.returncode == 0, done.stderr
    tasks = {path.name: path.read_bytes() for path in (store / f"runs/{RUN}/tasks").iterdir()}
    return corpus, weights(store), tasks, int(done.stdout)


def kill_and_resume(folder: Path, undisturbed, kill_at: int) -> None:
    corpus, wanted, tasks, _ = undisturbed
    assert ingested(folder) == corpus
    killed = play(folder, corpus, kill_at)
    assert killed.returncode == -signal.SIGKILL
    started = (folder / f"runs/{RUN}/run.json").exists()
    resumed = play(folder, corpus, resume=started)
    assert resumed.returncode == 0, resumed.stderr
    assert weights(folder) == wanted
    assert {path.name: path.read_bytes() for path in (folder / f"runs/{RUN}/tasks").iterdir()} == tasks
    assert len({path.parent for path in (folder / f"runs/{RUN}/resume").rglob("*.safetensors")}) == 1


def test_an_undisturbed_run_trains(undisturbed):
    _, wanted, tasks, _ = undisturbed
    assert [n for n, _ in wanted] == [0, 1, 2, 3]
    assert len({sha for _, sha in wanted}) == 4
    assert len(tasks) == 3


@pytest.mark.parametrize("share", [0.2, 0.55, 0.85])
def test_killed_and_resumed(tmp_path, undisturbed, share):
    kill_and_resume(tmp_path, undisturbed, int(share * undisturbed[3]))


@pytest.mark.slow
def test_killed_at_every_single_write(tmp_path, undisturbed):
    for kill_at in range(1, undisturbed[3] + 1):
        folder = tmp_path / str(kill_at)
        folder.mkdir()
        kill_and_resume(folder, undisturbed, kill_at)


def test_a_signal_stops_after_the_iteration_and_nothing_is_lost(tmp_path, undisturbed):
    from spice import stages

    corpus, wanted, _, _ = undisturbed
    assert ingested(tmp_path) == corpus
    config = smoke(tmp_path, "training.checkpoint_every=1")

    def interrupt(done, total, what, note=""):
        if done == 0:
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(KeyboardInterrupt):
        stages.train(corpus, config, RUN, progress=interrupt)
    assert [n for n, _ in weights(tmp_path)] == [0, 1]
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    stages.train(corpus, config, RUN, resume=True, progress=lambda *_: None)
    assert weights(tmp_path) == wanted


def test_the_kill_switch_stops_training_and_nothing_is_lost(tmp_path, undisturbed, monkeypatch):
    from spice import stages

    corpus, wanted, _, _ = undisturbed
    ingested(tmp_path)
    asked = 0

    def engaged(_store):
        nonlocal asked
        asked += 1
        if asked > 1:
            raise RefusedError("engaged")

    with monkeypatch.context() as patch:
        patch.setattr(stages, "require_disengaged", engaged)
        with pytest.raises(RefusedError, match="engaged"):
            stages.train(corpus, smoke(tmp_path), RUN, progress=lambda *_: None)
    stages.train(corpus, smoke(tmp_path), RUN, resume=True, progress=lambda *_: None)
    assert weights(tmp_path) == wanted


def test_a_run_is_never_started_twice(tmp_path, undisturbed):
    from spice import stages

    corpus = ingested(tmp_path)
    stages.train(corpus, smoke(tmp_path), RUN, progress=lambda *_: None)
    with pytest.raises(TrainingError, match="--resume"):
        stages.train(corpus, smoke(tmp_path), RUN, progress=lambda *_: None)
    again = stages.train(corpus, smoke(tmp_path), RUN, resume=True, progress=lambda *_: None)
    assert [(n, sha) for n, sha in undisturbed[1]][-1][0] == again.checkpoints[-1][0]
