"""`kill -9` at any write, then resume: the same weights, byte for byte, as a run that nobody disturbed."""

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import pyarrow.parquet as pq
import pytest

pytest.importorskip("torch")

from spice.corpus import dataset
from spice.errors import RefusedError, TrainingError
from spice.selfplay.frontier import Frontier
from spice.selfplay.selection import select
from spice.settings import resolve
from spice.stages.opening import document
from spice.store import artifacts, open_store
from spice.training.frontier import recall
from spice.training.records import tasks_key

REPO = Path(__file__).parents[2]
RUN = "r"
# So few documents that what was earned with them soon decides which are drawn.
FRONTIER = ("recipe.sampling=frontier", "recipe.sources=a[ks]*", "recipe.batch_documents=3", "training.iterations=5")
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
config = resolve("smoke", environ={}, sets=[f"store.url={store}", *sys.argv[5:]]).config
stages.train(corpus, config, "r", resume=resume, progress=lambda *_: None)
print(count)
"""


def play(
    store: Path, corpus: str, kill_at: int = 0, resume: bool = False, sets: Sequence[str] = ()
) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", PLAY, str(store), corpus, str(kill_at), "resume" if resume else "start", *sets]
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
    return finished(tmp_path_factory.mktemp("undisturbed"))


def finished(store: Path, sets: Sequence[str] = ()) -> tuple[str, list[tuple[int, str]], dict[str, bytes], int]:
    """See `undisturbed`; with other settings."""
    corpus = ingested(store)
    done = play(store, corpus, sets=sets)
    assert done.returncode == 0, done.stderr
    tasks = {path.name: path.read_bytes() for path in (store / f"runs/{RUN}/tasks").iterdir()}
    return corpus, weights(store), tasks, int(done.stdout)


def kill_and_resume(folder: Path, undisturbed, kill_at: int, sets: Sequence[str] = ()) -> None:
    corpus, wanted, tasks, _ = undisturbed
    assert ingested(folder) == corpus
    killed = play(folder, corpus, kill_at, sets=sets)
    assert killed.returncode == -signal.SIGKILL
    started = (folder / f"runs/{RUN}/run.json").exists()
    resumed = play(folder, corpus, resume=started, sets=sets)
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


def test_what_the_frontier_sampler_knows_outlives_a_kill(tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()
    wanted = finished(whole, FRONTIER)
    kill_and_resume(killed, wanted, int(0.7 * wanted[3]), FRONTIER)

    drawn = []
    for name in sorted(wanted[2]):
        rows = pq.read_table(io.BytesIO(wanted[2][name]), columns=["document"]).to_pylist()
        drawn.append(list(dict.fromkeys(row["document"] for row in rows)))
    told, untold = draws_by_record(killed, wanted[0])
    assert drawn == told
    assert drawn[3:] != untold[3:], "the scores have no say here, so this test shows nothing"


def draws_by_record(store: Path, corpus: str) -> tuple[list[list[str]], list[list[str]]]:
    """Documents of each iteration, by what the records of the earlier ones say, and without scores."""
    config = smoke(store, *FRONTIER)
    opened = open_store(config.store)
    pattern = config.recipe.sources[0]
    documents = [document(one) for one in dataset.load(opened, corpus, "train") if fnmatchcase(one.source, pattern)]
    told, untold = [], []
    for iteration in range(1, config.training.iterations + 1):
        known = Frontier(documents)
        recall(known, opened, RUN, iteration - 1)
        for draws, scores in ((told, known.scores()), (untold, None)):
            chosen = select(documents, config.recipe, config.seed, iteration, scores)
            draws.append([documents[position].id for position in chosen])
    return told, untold


def test_a_damaged_record_does_not_go_unnoticed(tmp_path):
    opened = open_store(smoke(tmp_path).store)
    for data in (b"no table", b""):
        opened.put(tasks_key(RUN, 1), data)
        with pytest.raises(TrainingError, match=r"tasks/000001.*damaged"):
            recall(Frontier([]), opened, RUN, 1)


@pytest.mark.slow
@pytest.mark.timeout(3600)
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
        patch.setattr(stages.training, "require_disengaged", engaged)
        with pytest.raises(RefusedError, match="engaged"):
            stages.train(corpus, smoke(tmp_path), RUN, progress=lambda *_: None)
    stages.train(corpus, smoke(tmp_path), RUN, resume=True, progress=lambda *_: None)
    assert weights(tmp_path) == wanted


def test_a_run_goes_back_to_a_state_that_was_kept_and_ends_in_the_same_weights(tmp_path, undisturbed):
    from spice import stages

    corpus = ingested(tmp_path)
    config = smoke(tmp_path, "training.keep_every=1")
    stages.train(corpus, config, RUN, progress=lambda *_: None)
    assert weights(tmp_path) == undisturbed[1]
    told = []
    again = stages.train(
        corpus, config, RUN, resume=True, from_iteration=1, progress=lambda done, *_: told.append(done)
    )
    assert told == [1, 2, 3]
    assert [n for n, _ in again.checkpoints] == [0, 1, 2, 3]
    assert weights(tmp_path) == undisturbed[1]
    with pytest.raises(TrainingError, match="no state after iteration 7"):
        stages.train(corpus, config, RUN, resume=True, from_iteration=7, progress=lambda *_: None)


def test_a_run_is_never_started_twice(tmp_path, undisturbed):
    from spice import stages

    corpus = ingested(tmp_path)
    stages.train(corpus, smoke(tmp_path), RUN, progress=lambda *_: None)
    with pytest.raises(TrainingError, match="--resume"):
        stages.train(corpus, smoke(tmp_path), RUN, progress=lambda *_: None)
    again = stages.train(corpus, smoke(tmp_path), RUN, resume=True, progress=lambda *_: None)
    assert [(n, sha) for n, sha in undisturbed[1]][-1][0] == again.checkpoints[-1][0]
