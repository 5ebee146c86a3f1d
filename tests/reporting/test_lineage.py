from __future__ import annotations

import io
from dataclasses import asdict
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spice.corpus import dataset
from spice.corpus.dataset import Segment
from spice.errors import IntegrityError, NotFoundError
from spice.reporting import lineage
from spice.store import ObjectStore, artifacts
from spice.store.canonical import digest

ITERATIONS, DOCUMENTS = 3, 6
SHARD = "segments-00000.parquet"


def segment(number: int) -> Segment:
    text = f"The lake number {number} is {number + 20} metres deep."
    return Segment(
        f"s{number}", f"d{number // 2}", f"lakes/{number // 2}.md", "Lakes", "byte", 100 * number,
        100 * number + len(text), digest(text.encode()), text, 8, "train",
    )  # fmt: skip


def parquet(rows: list[dict[str, Any]], schema: pa.Schema | None = None) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), out)
    return out.getvalue()


def version(store: ObjectStore, count: int) -> str:
    rows = [asdict(segment(number)) for number in range(count)]
    return artifacts.write(store, "datasets/lakes", {SHARD: parquet(rows, dataset.SCHEMA)}, {"name": "lakes"})


def posed(number: int) -> list[dict[str, Any]]:
    """An attempt for each passage, every third of them invalid."""
    return [
        {
            "document": f"s{place}", "valid": place % 3 != 2, "question": f"How deep is lake {place}?",
            "answer": f"{place + 20}", "trained": place == number,
        }
        for place in range(DOCUMENTS)
    ]  # fmt: skip


@pytest.fixture
def checkpoint(store: ObjectStore) -> str:
    base = artifacts.write(store, "checkpoints", {"model.safetensors": b"before"}, {"kind": "base", "model": "tiny"})
    for number in range(1, ITERATIONS + 1):
        store.put(f"runs/run/tasks/{number:06d}.parquet", parquet(posed(number)))
    origin = {"base": base, "corpus": version(store, DOCUMENTS), "run": "run", "iteration": ITERATIONS, "code": "1"}
    return artifacts.write(store, "checkpoints", {"model.safetensors": b"after"}, origin)


def test_every_task_is_followed_to_its_passage(store: ObjectStore, checkpoint: str) -> None:
    found = lineage.trace(store, checkpoint)
    assert found.complete
    assert (found.run, found.iteration, found.code) == ("run", ITERATIONS, "1")
    assert (found.tasks, found.trained, found.without_document) == (12, 2, 0)
    assert (found.segments, found.files) == (4, 3)


def test_a_task_stands_beside_its_passage(store: ObjectStore, checkpoint: str) -> None:
    found = lineage.task(store, checkpoint, 2, 4)
    assert (found.name, found.question, found.answer, found.trained) == ("2:4", "How deep is lake 4?", "24", False)
    assert found.segment == segment(4)


@pytest.mark.parametrize(("iteration", "row"), [(0, 0), (ITERATIONS + 1, 0), (1, 9999), (1, 2)])
def test_a_task_that_did_not_lead_there_is_not_shown(
    store: ObjectStore, checkpoint: str, iteration: int, row: int
) -> None:
    with pytest.raises(NotFoundError, match=f"No task {iteration}:{row} led to"):
        lineage.task(store, checkpoint, iteration, row)


def test_a_model_that_was_not_trained_here_has_no_tasks(store: ObjectStore, checkpoint: str) -> None:
    base = str(artifacts.manifest(store, checkpoint)["base"])
    assert lineage.trace(store, base) == lineage.Lineage(base)
    with pytest.raises(NotFoundError):
        lineage.task(store, base, 1, 0)


def test_what_is_gone_or_changed_is_named(store: ObjectStore, checkpoint: str) -> None:
    store.delete("runs/run/tasks/000002.parquet")
    assert lineage.trace(store, checkpoint).missing == ("the tasks of iteration 2 are not in the store",)
    origin = artifacts.manifest(store, checkpoint)
    store.delete(f"{origin['base']}/manifest.json")
    assert f"the base {origin['base']} is not in the store" in lineage.trace(store, checkpoint).missing
    store.put("runs/run/tasks/000002.parquet", b"not a table")
    with pytest.raises(IntegrityError, match=r"000002.parquet .* is damaged"):
        lineage.trace(store, checkpoint)


def test_a_passage_that_another_version_holds_does_not_count(store: ObjectStore, checkpoint: str) -> None:
    origin = artifacts.manifest(store, checkpoint)
    other = version(store, DOCUMENTS - 2)
    fields = {name: value for name, value in origin.items() if name != "files"} | {"corpus": other}
    moved = artifacts.write(store, "checkpoints", {"model.safetensors": b"x"}, fields)
    found = lineage.trace(store, moved)
    assert not found.complete
    assert f"which is not in {other}" in found.missing[0]
    assert len(found.missing) == ITERATIONS


def test_tasks_without_a_document_are_counted(store: ObjectStore, checkpoint: str) -> None:
    free = [{**row, "document": ""} for row in posed(1)]
    store.put("runs/run/tasks/000001.parquet", parquet(free))
    found = lineage.trace(store, checkpoint)
    assert (found.complete, found.without_document, found.tasks) == (True, 4, 12)
    assert lineage.task(store, checkpoint, 1, 0).segment is None
