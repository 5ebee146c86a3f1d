"""What goes wrong with `selfplay`: it ends with a word about it, leaves nothing half done, and can be started again."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from spice.config import StoreConfig
from spice.store import open_store

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(3600)]
DOCUMENTS = Path(__file__).parents[2] / "examples/factbook"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"documents": "/nowhere/at/all"}, "/nowhere/at/all does not exist"),
        ({"name": "My Documents"}, '"My Documents" cannot name a dataset'),
        ({"settings": ["training.iteration=1"]}, "training.iterations"),
    ],
    ids=["documents", "name", "settings"],
)
def test_what_cannot_be_is_refused_before_any_work(
    fresh: Any, capfd: pytest.CaptureFixture[str], given: dict[str, Any], words: str
) -> None:
    asked = {"documents": str(DOCUMENTS), "name": "facts", "run": "first", "gpus": "0", "requester": "local"}
    job = fresh.run("selfplay", **{**asked, **given})
    assert words in capfd.readouterr().out
    assert job.tasks <= {"record-outcome"}
    assert [info.key for info in fresh.store.list("") if not info.key.startswith("runs/first/jobs/")] == []


def test_a_run_name_that_is_none_stops_at_training(fresh: Any, capfd: pytest.CaptureFixture[str]) -> None:
    job = fresh.run("selfplay", documents=fresh.documents(), name="facts", run="a/b", gpus="0", requester="local")
    assert "'a/b' is no name for a run" in capfd.readouterr().out
    assert job.tasks == {"ingest"}, "what was ingested can be used again"
    assert list(fresh.store.list("runs/")) == []


def test_a_store_that_dies_in_training_costs_what_was_not_saved_yet(
    fresh: Any, mortal_s3: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    url = "s3://spice/outage"
    settings = {"ENDPOINT": mortal_s3.endpoint, "SECURE": "false"}
    for key, value in settings.items():
        monkeypatch.setenv(f"SPICE_STORE__{key}", value)
    store = open_store(StoreConfig(url=url, endpoint=mortal_s3.endpoint, secure=False))
    asked = {"name": "facts", "run": "first", "gpus": "0", "requester": "local", "store": url}
    asked["settings"] = [*fresh.settings, "training.iterations=3"]
    ended = threading.Event()

    def die_in_training() -> None:
        while store.head("runs/first/state.json") is None and not ended.wait(0.1):
            pass
        mortal_s3.kill()

    killer = threading.Thread(target=die_in_training)
    killer.start()
    try:
        broken = fresh.run("selfplay", documents=fresh.documents(), **asked)
    finally:
        ended.set()
        killer.join()
    assert broken.tasks == {"ingest"}, "neither trained to the end nor recorded"
    assert f"{mortal_s3.endpoint} did not do it" in capfd.readouterr().out

    mortal_s3.start()
    assert json.loads(store.get("runs/first/state.json"))["iteration"] in (0, 1, 2)
    job = fresh.run("selfplay", documents="datasets/facts", **asked)
    assert job.tasks == {"ingest", "train", "evaluate", "record-outcome"}
    assert "has no keys yet" in capfd.readouterr().out, "on a shared store somebody must first say who may sign"
    iterations = [info.key for info in store.list("runs/first/iterations/")]
    assert len(iterations) == 3, "no iteration is lost, and none is counted twice"
