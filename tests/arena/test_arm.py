"""The whole path on a warm start that has hardly begun: what matters is that all of it is the production path."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")

from spice.arena import arm, warmstarts, warmup
from spice.arena.arm import Arm
from spice.arena.pool import play_all
from spice.arena.world import LADDER
from spice.config import StoreConfig
from spice.errors import ConfigError
from spice.models.catalog import warm_start_folder
from spice.store import open_store

SETS = (
    "training.iterations=2",
    "training.checkpoint_every=1",
    "recipe.batch_documents=2",
    "recipe.attempts=2",
    "recipe.group_size=2",
    "evaluation.coevolution_documents=4",
    "evaluation.coevolution_checkpoints=2",
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with one warm start of three steps, under the names of all."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPICE_CACHE", str(folder))
        first = warm_start_folder(warmstarts.name(LADDER, 0))
        first.mkdir(parents=True)
        warmup.build(first, LADDER, 0, steps=3)
        for other in (warmstarts.name(LADDER, 1), warmstarts.strong_name(LADDER)):
            warm_start_folder(other).symlink_to(first)
    return folder


@pytest.fixture
def store(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StoreConfig:
    monkeypatch.setenv("SPICE_CACHE", str(cache))
    return StoreConfig(url=str(tmp_path / "store"))


def silent(done: int, total: int, what: str, note: str = "") -> None:
    """Say nothing."""


@pytest.mark.parametrize("recipe", ["spice", "strong_challenger", "no_corpus", "absolute_zero"])
def test_an_arm_is_played_examined_and_kept(store: StoreConfig, recipe: str) -> None:
    played = arm.play(Arm("ladder", recipe, 0, SETS), store, silent)
    assert [reading.iteration for reading in played.readings] == [0, 1, 2]
    assert [reading.tokens for reading in played.readings] == sorted({reading.tokens for reading in played.readings})
    assert {len(reading.answers) for reading in played.readings} == {720}
    assert played.updates == len(played.labels) == 2
    opened = open_store(store)
    assert json.loads(opened.get(f"runs/{played.run}/run.json"))["status"] == "trained"
    assert bool(played.coevolution) == (recipe != "strong_challenger")


def test_a_finished_arm_is_not_played_again(store: StoreConfig) -> None:
    chosen = Arm("ladder", "fixed_challenger", 1, SETS)
    first = arm.play(chosen, store, silent)

    def never(done: int, total: int, what: str, note: str = "") -> None:
        raise AssertionError("nothing is left to do")

    assert arm.play(chosen, store, never) == first


def test_another_setting_is_another_arm(store: StoreConfig) -> None:
    chosen = Arm("ladder", "spice", 0, SETS)
    faster = Arm("ladder", "spice", 0, (*SETS, "learner.learning_rate=0.001"))
    keys = {arm.key(one, arm.configuration(one, store)) for one in (chosen, faster)}
    assert len(keys) == 2
    elsewhere = store.model_copy(update={"url": "/elsewhere"})
    assert arm.key(chosen, arm.configuration(chosen, elsewhere)) in keys


@pytest.mark.integration
def test_arms_are_played_side_by_side_and_come_back_in_order(store: StoreConfig) -> None:
    arms = [Arm("ladder", recipe, 0, SETS, label) for recipe, label in (("random_reward", None), ("spice", "other"))]
    assert [played.recipe for played in play_all(arms, store, 2, silent)] == ["random_reward", "other"]


def test_a_setting_that_is_none_is_refused(store: StoreConfig) -> None:
    with pytest.raises(ConfigError, match=r"recipe\.rewardd"):
        arm.play(Arm("ladder", "spice", 0, ("recipe.rewardd=1",)), store, silent)


@pytest.mark.integration
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_arms_end_with_the_process_that_plays_them_and_go_on_later(store: StoreConfig, number: signal.Signals) -> None:
    sets = (*SETS, "training.iterations=500")
    command = ["arena", "compare", "--recipes=spice,random_reward", "--seeds=0,3", "--jobs=1", "--store", store.url]
    process = subprocess.Popen(
        [sys.executable, "-m", "spice", *command, *(f"--set={text}" for text in sets)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not list(Path(store.url).glob("runs/*/iterations/000002.json")):
        assert process.poll() is None
    process.send_signal(number)
    _, said = process.communicate(timeout=120)  # the pipes are closed when the last process has ended
    if number == signal.SIGTERM:
        assert process.returncode == 130
        assert "every arm is kept as far as it came" in said

    class Enough(Exception):
        pass

    def first(done: int, total: int, what: str, note: str = "") -> None:
        raise Enough(what, done)

    with pytest.raises(Enough) as told:
        arm.play(chosen := Arm("ladder", "spice", 0, sets), store, first)
    kept = len(list(Path(store.url, "runs", arm.key(chosen, arm.configuration(chosen, store))).glob("iterations/*")))
    assert told.value.args == ("train", kept)
    assert len(list(Path(store.url, "runs").iterdir())) == 1, "no other arm was begun"
