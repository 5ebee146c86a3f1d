"""One step off policy: what is played with which weights, and that a saved state hides nothing."""

from __future__ import annotations

import json
import signal
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from spice.errors import ConfigError
from spice.settings import resolve
from spice.store import artifacts, open_store

pytest.importorskip("torch")

from spice.training.ahead import Ahead

pytestmark = pytest.mark.torch
REPO = Path(__file__).parents[2]


def rolled(iteration, version):
    return SimpleNamespace(
        iteration=iteration, played=[version], skipped_documents=0, seconds={}, challenger_share=None, rollout=None
    )


def played_with(ahead: list[bool]) -> list[int]:
    """The version of the weights that each of some iterations was played with; `ahead` says which look ahead."""
    engine, learner = [0], [0]

    def learn(_):
        learner[0] += 1

    def publish(_):
        engine[0] = learner[0]

    game = Ahead(lambda n: rolled(n, engine[0]), learn, publish, lambda: None, lambda: 0.0)
    outcomes = [game.iterate(n, ahead=flag) for n, flag in enumerate(ahead, 1)]
    assert [outcome.iteration for outcome in outcomes] == list(range(1, len(ahead) + 1))
    return [outcome.played[0] for outcome in outcomes]


@pytest.mark.parametrize(
    ("ahead", "versions"),
    [
        ([False] * 4, [0, 1, 2, 3]),
        ([True] * 4, [0, 0, 1, 2]),
        ([True, False, True, False], [0, 0, 2, 2]),
    ],
    ids=["synchronous", "always", "not across every second"],
)
def test_weights_are_at_most_one_update_old(ahead, versions):
    assert played_with(ahead) == versions


def test_the_next_iteration_is_played_while_the_learner_works():
    """Each waits for the other, so neither order one after the other would end."""
    meet = threading.Barrier(2, timeout=30)

    def roll(iteration):
        if iteration == 2:
            meet.wait()
        return rolled(iteration, 0)

    game = Ahead(roll, lambda _: meet.wait(), lambda _: None, lambda: None, lambda: 0.0)
    game.iterate(1, ahead=True)


def test_a_failure_of_either_is_told():
    def fail(_):
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        Ahead(lambda n: rolled(n, 0), fail, lambda _: None, lambda: None, lambda: 0.0).iterate(1, ahead=True)


def settings(store: Path):
    sets = [
        f"store.url={store}", "training.iterations=4", "training.checkpoint_every=2", "training.off_policy_steps=1",
        "recipe.challenger_tokens=64", "recipe.audit_tasks=0",
    ]  # fmt: skip
    return resolve("smoke", environ={}, sets=sets).config


def weights(store: Path) -> list[str]:
    opened = open_store(settings(store).store)
    state = json.loads(opened.get("runs/r/state.json"))
    return [artifacts.files(opened, ref)["model.safetensors"].sha256 for _, ref in state["checkpoints"]]


def test_a_run_resumed_at_a_checkpoint_goes_on_as_if_nothing_had_happened(tmp_path):
    from spice import stages

    def run(store: Path, stop_after: int | None = None):
        config = settings(store)
        corpus = stages.ingest(sorted((REPO / "examples/factbook").glob("a*.md")), "docs", config, progress=quiet).ref

        def watch(done, total, what, note=""):
            if done == stop_after:
                signal.raise_signal(signal.SIGTERM)

        if stop_after is not None:
            with pytest.raises(KeyboardInterrupt):
                stages.train(corpus, config, "r", progress=watch)
        stages.train(corpus, config, "r", resume=stop_after is not None, progress=quiet)
        return weights(store)

    whole = run(tmp_path / "whole")
    assert len(set(whole)) == 3
    # The wish to stop is honoured after the next iteration: the second, which ends with a checkpoint.
    assert run(tmp_path / "stopped", stop_after=1) == whole


def quiet(*_, **__):
    pass


def test_more_than_one_update_of_old_rollouts_is_refused(tmp_path):
    from spice.training.seats import open_learner

    config = resolve("smoke", environ={}, sets=["training.off_policy_steps=1", "recipe.updates_per_iteration=2"]).config
    from spice.models import tiny

    tiny.build(tmp_path)
    with pytest.raises(ConfigError, match="updates_per_iteration=1"):
        open_learner(tmp_path, config)
