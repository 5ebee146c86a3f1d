"""From a checkpoint to the passages that it learned from, each step checked.

A checkpoint names its run, its iteration, its dataset version and its base by
digest; the run holds every task that it posed, each with the segment that it
was made from; the version holds the segments, and says where in which file each
stands.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Set
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from spice.corpus import dataset
from spice.corpus.dataset import Segment
from spice.errors import IntegrityError, NotFoundError
from spice.store import artifacts
from spice.store.base import ObjectStore

_LISTED = 20


@dataclass(frozen=True)
class TaskTrace:
    """One posed task with its passage.

    Attributes:
        name: `<iteration>:<row>`.
        question: as the Reasoner was asked.
        answer: the gold answer.
        trained: the Reasoner learned from it.
        segment: the passage with its place, `None` if the task was posed without a document.
    """

    name: str
    question: str
    answer: str
    trained: bool
    segment: Segment | None


@dataclass(frozen=True)
class Lineage:
    """What a checkpoint was made from.

    Attributes:
        checkpoint: its reference.
        base: what it was trained from, `None` for a model that was not trained here.
        corpus: the dataset version.
        run: the training run.
        iteration: after how many iterations it was saved.
        code: version of the code that trained it.
        tasks: tasks posed up to then.
        trained: of these, what the Reasoner learned from.
        without_document: tasks that no document was read for.
        segments: distinct passages that tasks were made from.
        files: distinct files that these stand in.
        missing: what cannot be followed, the first twenty; empty if everything can.
    """

    checkpoint: str
    base: str | None = None
    corpus: str | None = None
    run: str | None = None
    iteration: int = 0
    code: str | None = None
    tasks: int = 0
    trained: int = 0
    without_document: int = 0
    segments: int = 0
    files: int = 0
    missing: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether every task can be followed to its passage."""
        return not self.missing


def trace(store: ObjectStore, checkpoint: str) -> Lineage:
    """Follow a checkpoint to its passages; every manifest, segment and task file on the way is read and verified.

    Raises:
        NotFoundError: there is no such checkpoint.
        IntegrityError: it was changed, or a task file cannot be read.
    """
    manifest = artifacts.manifest(store, checkpoint)
    if not manifest.get("run"):
        return Lineage(checkpoint)
    run, corpus, iteration = str(manifest["run"]), str(manifest["corpus"]), int(manifest["iteration"])
    missing = [] if _present(store, str(manifest["base"])) else [f"the base {manifest['base']} is not in the store"]
    numbers = range(1, iteration + 1)
    named = {row["document"] for number in numbers for _, row in _rows_if_there(store, run, number) or ()}
    places: dict[str, str] | None = None
    try:
        places = _places(store, corpus, named)
    except NotFoundError:
        missing.append(f"the dataset version {corpus} is not in the store")
    used: set[str] = set()
    tasks = trained = without = 0
    for number in numbers:
        rows = _rows_if_there(store, run, number)
        if rows is None:
            missing.append(f"the tasks of iteration {number} are not in the store")
            continue
        for place, row in rows:
            tasks += 1
            trained += bool(row["trained"])
            if not row["document"]:
                without += 1
            elif places is not None and row["document"] in places:
                used.add(row["document"])
            elif places is not None and len(missing) < _LISTED:
                missing.append(f"task {number}:{place} names the passage {row['document']}, which is not in {corpus}")
    return Lineage(
        checkpoint=checkpoint,
        base=str(manifest["base"]),
        corpus=corpus,
        run=run,
        iteration=iteration,
        code=str(manifest.get("code") or "") or None,
        tasks=tasks,
        trained=trained,
        without_document=without,
        segments=len(used),
        files=len({places[name] for name in used} if places else ()),
        missing=tuple(missing[:_LISTED]),
    )


def task(store: ObjectStore, checkpoint: str, iteration: int, place: int) -> TaskTrace:
    """One task with its passage, both verified.

    Args:
        store: that holds them.
        checkpoint: that the task led to.
        iteration: in which it was posed, from 1.
        place: its row there, from 0.

    Raises:
        NotFoundError: there is no such task before that checkpoint, or its passage is gone.
        IntegrityError: something on the way was changed.
    """
    manifest = artifacts.manifest(store, checkpoint)
    run, corpus = str(manifest.get("run") or ""), str(manifest.get("corpus") or "")
    found = None
    if run and 1 <= iteration <= int(manifest["iteration"]):
        found = next((row for number, row in _rows(store, run, iteration) if number == place), None)
    if found is None:
        raise NotFoundError(
            f"No task {iteration}:{place} led to {checkpoint}; `spice lineage` tells how many there are."
        )
    segment = dataset.find(store, corpus, str(found["document"])) if found["document"] else None
    return TaskTrace(f"{iteration}:{place}", found["question"], found["answer"], bool(found["trained"]), segment)


def _places(store: ObjectStore, corpus: str, named: Set[str]) -> dict[str, str]:
    """The files of those training passages that are named; of the others nothing is held."""
    return {
        segment.segment_id: segment.source
        for segment in dataset.iterate(store, corpus)
        if segment.split == "train" and segment.segment_id in named
    }


def _rows_if_there(store: ObjectStore, run: str, iteration: int) -> Iterator[tuple[int, dict[str, Any]]] | None:
    try:
        return _rows(store, run, iteration)
    except NotFoundError:
        return None


def _rows(store: ObjectStore, run: str, iteration: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """Valid tasks with their row numbers. Reads at once, so that errors come here. Raises as `task` does."""
    key = f"runs/{run}/tasks/{iteration:06d}.parquet"
    columns = ["document", "valid", "question", "answer", "trained"]
    try:
        rows = pq.read_table(io.BytesIO(store.get(key)), columns=columns, use_threads=False).to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise IntegrityError(
            f"{key} in {store.url} is damaged: nobody can tell which tasks were learned from. Restore it from a backup."
        ) from error
    return ((number, row) for number, row in enumerate(rows) if row["valid"])


def _present(store: ObjectStore, ref: str) -> bool:
    try:
        artifacts.manifest(store, ref)
    except NotFoundError:
        return False
    return True
