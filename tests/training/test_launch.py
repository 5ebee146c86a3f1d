"""Several ranks as a user starts them: killed, stopped or asked to end, the run goes on to the same weights."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from spice.config import Config
from spice.errors import SpiceError, TrainingError
from spice.settings import resolve
from spice.store import artifacts, open_store

pytest.importorskip("torch")

pytestmark = pytest.mark.ranks
REPO = Path(__file__).parents[2]
RUN = "r"
# Of the run that is killed again and again; `make test-kills` passes them on.
KILLS, SEED = int(os.environ.get("TEST_KILLS", "20")), int(os.environ.get("TEST_SEED", "0"))


def settings(store: Path, *sets: str) -> Config:
    return resolve("smoke", environ={}, sets=[f"store.url={store}", "training.ranks=2", *sets]).config


def ingested(store: Path) -> str:
    from spice import stages

    return stages.ingest(
        sorted((REPO / "examples/factbook").glob("a*.md")), "docs", settings(store), progress=quiet
    ).ref


def quiet(*_: Any) -> None:
    """Nobody wants to know."""


def digests(store: Path) -> list[tuple[int, str]]:
    """Iteration and weight digest of every checkpoint of the run."""
    from spice.training.checkpoints import load_state

    opened = open_store(settings(store).store)
    state = load_state(opened, RUN)
    assert state is not None
    return [(n, artifacts.files(opened, ref)["model.safetensors"].sha256) for n, ref in state.checkpoints]


def train(
    store: Path, corpus: str, *, resume: bool = False, progress: Callable[..., None] = quiet, sets: Any = ()
) -> None:
    from spice import stages

    stages.train(corpus, settings(store, *sets), RUN, resume=resume, progress=progress)


def ranks_of(pid: int) -> list[int]:
    """The processes of the ranks that this process has started, in order of rank."""
    listed = subprocess.run(["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in listed.splitlines()[1:]]
    torchrun = {row[0] for row in rows if row[1] == str(pid) and "torch.distributed.run" in row[2]}
    return sorted(int(row[0]) for row in rows if row[1] in torchrun and "spice.rank" in row[2])


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[tuple[int, str]], bytes]:
    """Corpus, weights and first tasks of a run on two ranks that nobody disturbed."""
    store = tmp_path_factory.mktemp("undisturbed")
    corpus = ingested(store)
    train(store, corpus)
    return corpus, digests(store), (store / f"runs/{RUN}/tasks/000001.parquet").read_bytes()


def test_two_ranks_play_what_one_plays(undisturbed: Any, tmp_path: Path) -> None:
    corpus, wanted, tasks = undisturbed
    assert [n for n, _ in wanted] == [0, 1, 2, 3]
    assert len({digest for _, digest in wanted}) == 4
    ingested(tmp_path)
    train(tmp_path, corpus, sets=["training.ranks=1"])
    # Later iterations are played with weights that differ in the last digits.
    assert (tmp_path / f"runs/{RUN}/tasks/000001.parquet").read_bytes() == tasks


@pytest.mark.parametrize("victim", [0, 1])
def test_a_rank_that_is_killed_is_named_and_the_run_goes_on_to_the_same_weights(
    undisturbed: Any, tmp_path: Path, victim: int
) -> None:
    corpus, wanted, _ = undisturbed
    ingested(tmp_path)

    def kill(done: int, total: int, what: str, note: str = "") -> None:
        if done == 1:
            os.kill(ranks_of(os.getpid())[victim], signal.SIGKILL)

    with pytest.raises(TrainingError, match=f"Rank {victim} .* died without a word"):
        train(tmp_path, corpus, progress=kill)
    assert not ranks_of(os.getpid())
    train(tmp_path, corpus, resume=True)
    assert digests(tmp_path) == wanted


def test_all_ranks_know_what_the_frontier_sampler_knew_before_a_kill(tmp_path: Path) -> None:
    sets = ["recipe.sampling=frontier", "recipe.sources=a[ks]*", "recipe.batch_documents=3", "training.iterations=4"]

    def kill(done: int, total: int, what: str, note: str = "") -> None:
        if done == 3:
            os.kill(ranks_of(os.getpid())[1], signal.SIGKILL)

    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()
    train(whole, ingested(whole), sets=sets)
    corpus = ingested(killed)
    with pytest.raises(TrainingError, match=r"Rank 1 .* died without a word"):
        train(killed, corpus, progress=kill, sets=sets)
    train(killed, corpus, resume=True, sets=sets)
    assert digests(killed) == digests(whole)
    last = f"runs/{RUN}/tasks/000004.parquet"
    assert (killed / last).read_bytes() == (whole / last).read_bytes()


@dataclass
class Killer:
    """Sends SIGKILL to a rank at some moment.

    Attributes:
        victim: the rank.
        steps: iterations to let pass before; `None` while the ranks start.
        delay: seconds to let pass after that.
    """

    victim: int
    steps: int | None
    delay: float
    told: int = 0

    def __enter__(self) -> Killer:
        self.timer = threading.Timer(self.delay, self.kill)
        self.over = threading.Event()
        self.looking = threading.Thread(target=self.look)
        if self.steps is None:
            self.looking.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        if self.steps is None:
            self.looking.join()
        self.timer.cancel()

    def progress(self, done: int, total: int, what: str, note: str = "") -> None:
        if self.told == self.steps:
            self.timer.start()
        self.told += 1

    def look(self) -> None:
        while len(ranks_of(os.getpid())) < 2 and not self.over.wait(0.1):
            pass
        self.timer.start()

    def kill(self) -> None:
        os.kill(ranks_of(os.getpid())[self.victim], signal.SIGKILL)


@pytest.mark.timeout(120 * KILLS)
def test_random_ranks_are_killed_at_random_times_again_and_again(tmp_path: Path) -> None:
    rng, sets = random.Random(SEED), [f"training.iterations={4 * KILLS}"]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()
    corpus, told = ingested(whole), list[float]()
    train(whole, corpus, sets=sets, progress=lambda *_, **__: told.append(time.monotonic()))
    iteration = (told[-1] - told[0]) / (len(told) - 1)

    assert ingested(killed) == corpus
    record = killed / f"runs/{RUN}/run.json"  # a rank may fall before there is a run to go on with
    for number in range(KILLS):
        steps = rng.choice([None, 0, 0, 1, 2])
        within = 8.0 if steps is None else 2 * iteration
        killer = Killer(rng.randrange(2), steps, rng.uniform(0.0, within))
        with killer, pytest.raises(TrainingError) as caught:
            train(killed, corpus, resume=record.exists(), progress=killer.progress, sets=sets)
        print(f"{number + 1:2}: {killer}: {str(caught.value).splitlines()[0]}")
        assert f"Rank {killer.victim} " in str(caught.value)
        assert not ranks_of(os.getpid())
    train(killed, corpus, resume=record.exists(), sets=sets)
    assert digests(killed) == digests(whole)
    for tasks in sorted((whole / f"runs/{RUN}/tasks").iterdir()):
        assert (killed / f"runs/{RUN}/tasks" / tasks.name).read_bytes() == tasks.read_bytes()


def test_a_rank_that_is_stopped_is_named_within_a_minute(undisturbed: Any, tmp_path: Path) -> None:
    corpus, wanted, _ = undisturbed
    ingested(tmp_path)
    stopped: list[float] = []

    def stop(done: int, total: int, what: str, note: str = "") -> None:
        if done == 1:
            os.kill(ranks_of(os.getpid())[1], signal.SIGSTOP)
            stopped.append(time.monotonic())

    with pytest.raises(TrainingError, match=r"Rank 1 \(process \d+\) has given no sign of life"):
        train(tmp_path, corpus, progress=stop, sets=["training.iterations=200"])
    assert time.monotonic() - stopped[0] < 60 + 30  # half a minute for a busy machine
    assert not ranks_of(os.getpid())
    train(tmp_path, corpus, resume=True)
    assert digests(tmp_path)[:4] == wanted


def test_a_wish_to_stop_reaches_the_ranks_and_nothing_is_lost(undisturbed: Any, tmp_path: Path) -> None:
    corpus, wanted, _ = undisturbed
    ingested(tmp_path)

    def interrupt(done: int, total: int, what: str, note: str = "") -> None:
        if done == 0:
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, corpus, progress=interrupt)
    train(tmp_path, corpus, resume=True)
    assert digests(tmp_path) == wanted


def test_what_a_rank_raises_is_raised_here(undisturbed: Any, tmp_path: Path) -> None:
    corpus, _, _ = undisturbed
    ingested(tmp_path)
    with pytest.raises(SpiceError, match=r"recipe\.sources"):
        train(tmp_path, corpus, sets=["recipe.sources=[nowhere/*.md]"])


def test_ranks_end_with_the_process_that_started_them(tmp_path: Path) -> None:
    ingested(tmp_path)
    command = [sys.executable, "-m", "spice", "train", "docs", "--preset", "smoke", "--store", str(tmp_path)]
    command += ["--ranks", "2", "--set", "training.iterations=500"]
    parent = subprocess.Popen(command, cwd=REPO, stderr=subprocess.PIPE, text=True)
    assert parent.stderr is not None
    next(line for line in parent.stderr if re.search(r"train [1-9]\d*/", line))  # not every step gets a line
    ranks = ranks_of(parent.pid)
    assert len(ranks) == 2
    parent.kill()
    parent.wait()
    waiting, ended = threading.Event(), False
    for _ in range(60):
        ended = not any(Path(f"/proc/{pid}").exists() for pid in ranks)
        if ended or waiting.wait(1):
            break
    assert ended
