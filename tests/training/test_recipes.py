"""Every recipe, from documents to a report, stopped and resumed: the same tasks and weights, byte for byte."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

pytest.importorskip("torch")

from spice import reporting, stages
from spice.config import RecipeName
from spice.errors import ConfigError, RefusedError
from spice.settings import resolve
from spice.store import artifacts, open_store

pytestmark = pytest.mark.torch
REPO = Path(__file__).parents[2]
SETTINGS = [
    "training.iterations=2",
    "training.checkpoint_every=1",
    "recipe.batch_documents=3",
    "recipe.challenger_phase=1",
    "recipe.reasoner_phase=1",
    "recipe.votes=3",
    "recipe.program_inputs=4",
]
QUESTIONS = [
    {"question": "Which animal flies?", "answer": "bee", "options": ["ant", "bee", "cat", "dog"]},
    {"question": "Which animal barks?", "answer": "dog", "options": ["ant", "bee", "cat", "dog"]},
    {"question": "How much is 2 + 2?", "answer": "4", "answer_type": "integer"},
]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A store with a small corpus, and a question set."""
    folder = tmp_path_factory.mktemp("recipes")
    (folder / "questions.jsonl").write_text("\n".join(map(json.dumps, QUESTIONS)))
    sources = sorted((REPO / "examples/factbook").glob("a*.md"))
    ref = stages.ingest(sources, "docs", config(folder, "spice"), progress=lambda *_: None).ref
    return folder, ref


def config(folder, recipe, *sets):
    own = {
        "rlvr": [f"recipe.question_set={folder / 'questions.jsonl'}"],
        "strong_challenger": ["recipe.challenger_model=tiny"],
    }
    chosen = [f"store.url={folder / 'store'}", f"recipe.name={recipe}", *SETTINGS, *own.get(recipe, []), *sets]
    return resolve("smoke", environ={}, sets=chosen).config


def left(store, run):
    """Digests of a run's weights, the Challenger's where it has its own, and its task files."""
    state = json.loads(store.get(f"runs/{run}/state.json"))
    manifests = [artifacts.manifest(store, ref) for _, ref in state["checkpoints"]]
    weights = [manifest["files"]["model.safetensors"]["sha256"] for manifest in manifests]
    tasks = [store.get(info.key) for info in store.list(f"runs/{run}/tasks/")]
    return weights, [manifest.get("challenger") for manifest in manifests], tasks


def interrupt(done, total, what, note=""):
    if done == 0:
        signal.raise_signal(signal.SIGTERM)


@pytest.mark.parametrize("recipe", RecipeName.__args__)
def test_a_recipe_runs_resumes_and_reports(place, recipe):
    folder, corpus = place
    settings = config(folder, recipe)
    store = open_store(settings.store)

    stages.train(corpus, settings, f"{recipe}-whole", progress=lambda *_: None)
    with pytest.raises(KeyboardInterrupt):
        stages.train(corpus, settings, f"{recipe}-parts", progress=interrupt)
    if recipe == "rlvr":
        # The run has its own copy, so nothing depends on the file any more.
        (folder / "questions.jsonl").rename(folder / "moved.jsonl")
    stages.train(corpus, settings, f"{recipe}-parts", resume=True, progress=lambda *_: None)

    weights, challengers, tasks = left(store, f"{recipe}-whole")
    assert left(store, f"{recipe}-parts") == (weights, challengers, tasks)
    assert len(weights) == 3 and len(tasks) == 2
    own = recipe in ("fixed_challenger", "strong_challenger", "r_zero")
    assert [bool(ref) for ref in challengers] == [False, own, own]
    if recipe == "r_zero":
        assert challengers[1] == challengers[2], "the Challenger rests in the Reasoner's phase"
        assert weights[0] == weights[1], "and the Reasoner in the Challenger's"
    page = reporting.render(reporting.load(store, f"{recipe}-whole"))
    assert "<svg" in page


def test_an_oracle_is_heard_and_changes_nothing(place):
    folder, corpus = place
    settings = config(folder, "spice")
    store = open_store(settings.store)

    stages.train(corpus, settings, "heard", progress=lambda *_: None, oracle=lambda task: task.answer)
    stages.train(corpus, settings, "unheard", progress=lambda *_: None)

    assert left(store, "heard")[0] == left(store, "unheard")[0]
    found = json.loads(store.get("runs/heard/iterations/000002.json"))["oracle"]
    assert found["n"] > 0 and found["label_accuracy"] == 1.0
    assert json.loads(store.get("runs/unheard/iterations/000002.json"))["oracle"]["n"] == 0


@pytest.mark.parametrize(("action", "goes_on"), [("pause", True), ("stop", False)])
def test_an_alarm_can_pause_or_stop_a_run(place, action, goes_on):
    folder, corpus = place
    # No task of the tiny model satisfies this, so the alarm is raised in every iteration.
    sets = ["health.valid_rate=1.1", f"health.actions.valid_rate={action}"]
    settings = config(folder, "spice", *sets)
    store = open_store(settings.store)

    with pytest.raises(RefusedError, match=f"valid_rate={action}"):
        stages.train(corpus, settings, action, progress=lambda *_: None)
    status = json.loads(store.get(f"runs/{action}/run.json"))["status"]
    assert status == ("paused" if goes_on else "stopped")
    if goes_on:
        # It was raised before and somebody went on, so it does not ask again.
        stages.train(corpus, settings, action, resume=True, progress=lambda *_: None)
        assert len(left(store, action)[0]) == 3
    else:
        with pytest.raises(RefusedError, match="stopped for good"):
            stages.train(corpus, settings, action, resume=True, progress=lambda *_: None)


def test_only_chosen_sources_are_trained_on(place):
    folder, corpus = place
    settings = config(folder, "spice", "recipe.sources=angola*")
    store = open_store(settings.store)

    stages.train(corpus, settings, "angola", progress=lambda *_: None)
    sources = {attempt.source for attempt in reporting.load(store, "angola").samples}
    assert sources == {"angola.md"}
    with pytest.raises(ConfigError, match="no training document"):
        stages.train(corpus, config(folder, "spice", "recipe.sources=x*"), "none", progress=lambda *_: None)
