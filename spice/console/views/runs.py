"""Runs: what was trained, how it goes, and which tasks were posed."""

from __future__ import annotations

import io
import re
import threading
from collections import OrderedDict

import pyarrow as pa
import pyarrow.parquet as pq

from spice.console.records import RunDetail, RunSummary, TaskPage, TaskRow
from spice.console.views.paging import cut
from spice.errors import IntegrityError, NotFoundError
from spice.reporting import facts, load, runs
from spice.reporting.records import Run, RunInfo
from spice.store.base import ObjectStore
from spice.store.canonical import digest

_REMEMBERED = 16
_COLUMNS = ["iteration", "document", "source", "valid", "question", "answer", "trained"]
_TASKS = re.compile(r".*/tasks/(\d+)\.parquet")


def summaries(store: ObjectStore) -> tuple[RunSummary, ...]:
    """Every run, by name backwards: names that were made up end with the time."""
    return tuple(_summary(name, info) for name, info in reversed(runs(store)))


class Reader:
    """Reads runs, and reads one again only when something of it changed.

    A page of a run in training is asked for every few seconds by everybody who watches it, and a long run is hundreds
    of objects.
    """

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._known: OrderedDict[str, tuple[str, Run]] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, name: str) -> Run:
        """All that could be read of a run. Raises `NotFoundError`."""
        found = [f"{info.key} {info.size} {info.modified}" for info in self._store.list(f"runs/{name}/")]
        state = digest("\n".join(found).encode())
        with self._lock:
            known = self._known.get(name)
        if known and known[0] == state:
            return known[1]
        run = load(self._store, name)
        with self._lock:
            self._known[name] = (state, run)
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return run


def detail(run: Run) -> RunDetail:
    """A run as the API answers it."""
    training = (run.config or {}).get("training") or {}
    return RunDetail(
        **_summary(run.name, run.info).model_dump(),
        told=facts.result(run),
        planned=training.get("iterations"),
        iterations=run.iterations,
        problems=tuple(run.problems),
    )


def tasks(store: ObjectStore, name: str, iteration: int, page: int) -> TaskPage:
    """Tasks of one iteration of a run, `PAGE` at a time.

    Raises:
        NotFoundError: there is no such iteration.
        IntegrityError: its record is damaged.
    """
    found = sorted(int(m[1]) for info in store.list(f"runs/{name}/tasks/") if (m := _TASKS.fullmatch(info.key)))
    if iteration not in found:
        raise NotFoundError(f"The run {name} has no tasks of iteration {iteration}; it has {len(found)} iterations.")
    key = f"runs/{name}/tasks/{iteration:06d}.parquet"
    try:
        rows = pq.read_table(io.BytesIO(store.get(key)), columns=_COLUMNS, use_threads=False).to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise IntegrityError(f"{key} in {store.url} is damaged: {error}. Restore it from a backup.") from error
    numbered = list(enumerate(rows))
    part, page, pages = cut(numbered, page)
    return TaskPage(
        run=name,
        iteration=iteration,
        iterations=len(found),
        page=page,
        pages=pages,
        total=len(rows),
        tasks=tuple(
            TaskRow(
                iteration=iteration,
                row=number,
                question=row["question"] or "",
                answer=row["answer"] or "",
                source=row["source"] or "",
                segment=row["document"] or "",
                valid=bool(row["valid"]),
                trained=bool(row["trained"]),
            )
            for number, row in part
        ),
    )


def _summary(name: str, info: RunInfo) -> RunSummary:
    known = info.model_dump(include=set(RunSummary.model_fields))
    return RunSummary(name=name, **known)
