from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from spice import stages
from spice.cli import app
from spice.config import DriftConfig, StoreConfig
from spice.corpus.ingest import ingest
from spice.errors import ConfigError, IntegrityError, NotFoundError
from spice.monitoring import drift, report
from spice.settings import resolve
from spice.store.base import ObjectStore
from spice.text.sketch import BUCKETS, Sketch, sketch

CONFIG = DriftConfig()
GEOGRAPHY = "river mountain harbour border mineral railway island coast valley province desert strait".split()
COOKERY = "butter onion simmer whisk flour oven garlic pepper saucepan dough season boil".split()


def prose(words: list[str], rng: random.Random, sentences: int = 12) -> str:
    return " ".join(f"The {' '.join(rng.choices(words, k=8))} number {rng.randrange(10**6)}." for _ in range(sentences))


@pytest.fixture
def corpus(store: ObjectStore, tmp_path: Path) -> Callable[..., str]:
    """Ingest documents made of given words; returns the reference."""

    def make(name: str, words: list[str], seed: int, documents: int = 60, sentences: int = 12) -> str:
        folder = tmp_path / f"{name}-{seed}"
        folder.mkdir()
        rng = random.Random(seed)
        for number in range(documents):
            (folder / f"{number}.txt").write_text(prose(words, rng, sentences))
        settings = resolve("smoke", None, {}, []).config.corpus
        return ingest(
            [folder],
            name,
            store,
            settings,
            "words",
            lambda texts: [len(text.split()) for text in texts],
            progress=lambda *_: None,
        ).ref

    return make


def test_versions_of_like_documents_show_no_drift(store: ObjectStore, corpus: Callable[..., str]) -> None:
    found = drift.check(store, corpus("a", GEOGRAPHY, 1), corpus("a", GEOGRAPHY, 2), CONFIG)
    assert (found.subject, found.corpus, found.shared) == ("corpus", "a", 0)
    assert not found.drifted
    assert found.reference.available == found.current.drawn == 60


@pytest.mark.parametrize(
    ("words", "sentences", "drifted"),
    [(COOKERY, 12, {"jensen_shannon", "mmd"}), (GEOGRAPHY, 24, {"ks"})],
    ids=["other words", "longer documents"],
)
def test_what_changed_is_found_by_the_statistic_that_is_about_it(
    words: list[str], sentences: int, drifted: set[str], store: ObjectStore, corpus: Callable[..., str]
) -> None:
    found = drift.check(store, corpus("a", GEOGRAPHY, 1), corpus("b", words, 2, sentences=sentences), CONFIG)
    assert found.drifted
    assert drifted <= {test.statistic for test in found.tests if test.drifted}


def test_documents_that_both_versions_have_are_counted(store: ObjectStore, corpus: Callable[..., str]) -> None:
    ref = corpus("a", GEOGRAPHY, 1)
    found = drift.check(store, ref, ref, CONFIG)
    assert (found.shared, found.drifted) == (60, False)


def test_the_same_check_gives_the_same_report(store: ObjectStore, corpus: Callable[..., str]) -> None:
    pair = corpus("a", GEOGRAPHY, 1), corpus("a", GEOGRAPHY, 2)
    small = CONFIG.model_copy(update={"max_units": 20})
    first = drift.check(store, *pair, small)
    assert first.current.drawn == 20
    assert first == drift.check(store, *pair, small)
    assert first != drift.check(store, *pair, small.model_copy(update={"seed": 3}))
    ref = report.save(store, first)
    assert report.load(store, ref) == first


def test_a_run_is_compared_with_its_own_start(store: ObjectStore, play: Callable[..., None], turn: Any) -> None:
    def other(rng: random.Random) -> str:
        return " ".join(rng.choices(COOKERY, k=9))

    steady, changed = turn(tasks=24), turn(tasks=24, ask=other)
    play("steady", [steady] * 12)
    play("changed", [steady] * 6 + [changed] * 6)
    assert not drift.check(store, "runs/steady", "runs/steady", CONFIG).drifted
    found = drift.check(store, "runs/changed", "runs/changed", CONFIG)
    assert (found.subject, found.corpus) == ("tasks", "facts")
    assert {test.statistic for test in found.tests if test.drifted} >= {"jensen_shannon", "mmd"}


def test_one_task_per_passage_is_drawn(store: ObjectStore, play: Callable[..., None], turn: Any) -> None:
    play("r", [turn(tasks=16)] * 8)
    found = drift.check(store, "runs/r", "runs/r", CONFIG)
    assert found.reference.available == found.current.available == 16


def test_a_falling_pass_rate_is_in_the_report(store: ObjectStore, play: Callable[..., None], turn: Any) -> None:
    play("r", [turn(passes=0.7)] * 20 + [turn(passes=0.05)] * 12, sets=["training.iterations=32"])
    found = drift.check(store, "runs/r", "runs/r", CONFIG)
    fell = next(side for side in found.pass_rate if side.direction == "down")
    assert found.drifted
    assert fell.detected
    assert 17 <= (fell.since or 0) <= 23


def test_runs_are_compared_by_what_they_pose_at_their_end(
    store: ObjectStore, play: Callable[..., None], turn: Any
) -> None:
    play("one", [turn(tasks=24)] * 4)
    play("two", [turn(tasks=24)] * 4)
    found = drift.check(store, "runs/one", "runs/two", CONFIG)
    assert (found.subject, found.pass_rate, found.drifted) == ("tasks", (), False)


def requests(store: ObjectStore, key: str, words: list[str], seed: int, count: int = 60) -> None:
    rng = random.Random(seed)
    lines = [sketch(" ".join(rng.choices(words, k=9)) + "?").model_dump_json() for _ in range(count)]
    store.put(key, "\n".join(lines).encode())


def test_traffic_is_compared_with_earlier_traffic_and_with_tasks(
    store: ObjectStore, play: Callable[..., None], turn: Any
) -> None:
    requests(store, "traffic/2026-01/a.jsonl", GEOGRAPHY, 1)
    requests(store, "traffic/2026-02/a.jsonl", GEOGRAPHY, 2)
    requests(store, "traffic/2026-03/a.jsonl", COOKERY, 3)
    assert not drift.check(store, "traffic/2026-01/", "traffic/2026-02/", CONFIG).drifted
    found = drift.check(store, "traffic/2026-02/", "traffic/2026-03/", CONFIG)
    assert (found.subject, found.drifted) == ("traffic", True)
    play("r", [turn(tasks=24, ask=lambda rng: " ".join(rng.choices(GEOGRAPHY, k=9)))] * 4)
    assert not drift.check(store, "runs/r", "traffic/2026-01/", CONFIG).drifted
    assert drift.check(store, "runs/r", "traffic/2026-03/", CONFIG).drifted


@pytest.mark.parametrize(
    ("reference", "current", "changes", "error", "words"),
    [
        ("checkpoints/x", "runs/r", {}, ConfigError, "nothing that drifts"),
        ("datasets/a", "runs/r", {}, ConfigError, "cannot be compared"),
        ("traffic/", "runs/r", {}, ConfigError, "cannot be compared"),
        ("runs/r", "runs/r", {"permutations": 100}, ConfigError, "at least 300"),
        ("runs/none", "runs/none", {}, NotFoundError, "by a run none"),
        ("runs/short", "runs/short", {}, NotFoundError, "one iteration only"),
        ("runs/invalid", "runs/invalid", {}, NotFoundError, "No valid task"),
        ("datasets/a", "datasets/a", {}, NotFoundError, "not in the store"),
        ("traffic/", "traffic/", {}, NotFoundError, "No requests"),
        ("runs/damaged", "runs/damaged", {}, IntegrityError, "is damaged"),
        ("traffic-bad/", "traffic/", {}, ConfigError, "nothing that drifts"),
    ],
)
def test_refuses_what_it_cannot_judge(
    reference: str,
    current: str,
    changes: dict[str, Any],
    error: type[Exception],
    words: str,
    store: ObjectStore,
    play: Callable[..., None],
    turn: Any,
) -> None:
    play("r", [turn()] * 2)
    play("short", [turn()])
    play("invalid", [turn(valid=0.0)] * 2)
    play("damaged", [turn()] * 2)
    store.put("runs/damaged/tasks/000002.parquet", b"PAR1 nonsense PAR1")
    with pytest.raises(error, match=words):
        drift.check(store, reference, current, CONFIG.model_copy(update=changes))


@pytest.mark.parametrize(
    "line", [b"{", b'{"characters": 3}', b'{"characters": 3, "trigrams": {"999": 1}}', b"", b"\xff"]
)
def test_a_damaged_note_of_a_request_is_refused(line: bytes, store: ObjectStore) -> None:
    requests(store, "traffic/a.jsonl", GEOGRAPHY, 1, count=2)
    store.put("traffic/b.jsonl", b"\n".join([sketch("good").model_dump_json().encode(), line, line]))
    with pytest.raises(IntegrityError, match=r"Line 2 of traffic/b\.jsonl"):
        drift.check(store, "traffic/", "traffic/", CONFIG)


def test_a_changed_report_is_refused(store: ObjectStore, corpus: Callable[..., str]) -> None:
    ref = corpus("a", GEOGRAPHY, 1, documents=20)
    stored = report.save(store, drift.check(store, ref, ref, CONFIG))
    store.put(f"{stored}.json", store.get(f"{stored}.json").replace(b'"drifted":false', b'"drifted":true'))
    with pytest.raises(IntegrityError):
        report.load(store, stored)


@given(st.text())
def test_a_sketch_counts_every_trigram_once_and_nothing_else(text: str) -> None:
    plain = " ".join(text.casefold().split())
    found = sketch(text)
    assert found.characters == len(text)
    assert found.histogram().sum() == max(0, len(plain) - 2)
    assert Sketch.model_validate_json(found.model_dump_json()) == found


def test_trigrams_spread_evenly_over_the_buckets() -> None:
    rng = random.Random(1)
    letters = "abcdefghijklmnopqrstuvwxyzäöüéèàñ,.0123456789"
    trigrams = {"".join(rng.choices(letters, k=3)) for _ in range(20_000)}
    counts = sum((sketch(f"{one}").histogram() for one in trigrams), np.zeros(BUCKETS, dtype=np.int64))
    assert counts.min() > 0.5 * counts.mean()
    assert counts.max() < 2 * counts.mean()


def test_the_stage_stores_a_report_and_the_verb_prints_it(
    store: ObjectStore, play: Callable[..., None], turn: Any
) -> None:
    play("r", [turn()] * 4)
    config = resolve("smoke", None, {}, []).config.model_copy(update={"store": StoreConfig(url=store.url)})
    checked = stages.drift_check("runs/r", "runs/r", config)
    assert report.load(store, checked.ref) == checked.report
    done = CliRunner().invoke(app, ["drift", "--run", "r", "--store", store.url, "--preset", "smoke"])
    assert done.exit_code == 0, done.output
    assert f"Stored as {checked.ref}" in done.output
    assert "jensen_shannon" in done.output
    done = CliRunner().invoke(app, ["drift", "--run", "r", "--store", store.url, "--preset", "smoke", "--json"])
    assert json.loads(done.stdout)["drift"] == checked.ref


@pytest.mark.parametrize("words", [[], ["runs/r"], ["runs/a", "runs/b", "--run", "r"]])
def test_the_verb_wants_two_sides_or_a_run(words: list[str]) -> None:
    assert isinstance(CliRunner().invoke(app, ["drift", *words]).exception, ConfigError)
