"""What runs keep of a document that is erased: the tasks that were posed about it. Metrics stay, they hold no text."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from spice.errors import IntegrityError
from spice.store import artifacts
from spice.store.base import ObjectStore
from spice.store.refs import MANIFEST

_ID_DIGITS = 16  # of a document's digest, with which the ids of its segments begin


@dataclass(frozen=True)
class Use:
    """A run that posed tasks about a document.

    Attributes:
        run: its name.
        iterations: those in which it did, ascending.
        tasks: how many, in all.
    """

    run: str
    iterations: tuple[int, ...]
    tasks: int


def uses(store: ObjectStore, documents: Set[str]) -> list[Use]:
    """The runs that posed tasks about any of some documents, by name.

    Raises:
        IntegrityError: the tasks of a run cannot be read, so nobody can tell.
    """
    found: dict[str, dict[int, int]] = defaultdict(dict)
    for key in _task_files(store):
        table = _read(store, key)
        if count := pc.sum(_about(table, documents)).as_py():
            run, _, name = key.removeprefix("runs/").partition("/tasks/")
            found[run][int(name.removesuffix(".parquet"))] = count
    return [Use(run, tuple(sorted(counts)), sum(counts.values())) for run, counts in sorted(found.items())]


def checkpoints(store: ObjectStore, used: Sequence[Use]) -> list[str]:
    """References of the checkpoints that learned from such tasks: those of these runs, from the first task on."""
    first = {use.run: use.iterations[0] for use in used}
    found = []
    for info in store.list("checkpoints/"):
        if info.key.endswith(f"/{MANIFEST}"):
            ref = info.key.removesuffix(f"/{MANIFEST}")
            origin = artifacts.manifest(store, ref)
            run, iteration = origin.get("run"), origin.get("iteration")
            if run in first and isinstance(iteration, int) and iteration >= first[run]:
                found.append(ref)
    return found


def purge(store: ObjectStore, documents: Set[str], used: Sequence[Use]) -> None:
    """Take the tasks out of the runs, and the reports that may show them; `spice report` builds those again."""
    for use in used:
        for key in _task_files(store, use.run):
            table = _read(store, key)
            about = _about(table, documents)
            if pc.any(about).as_py():
                buffer = io.BytesIO()
                pq.write_table(table.filter(pc.invert(about)), buffer)
                store.put(key, buffer.getvalue())
        store.delete(f"runs/{use.run}/report.html")


def _task_files(store: ObjectStore, run: str = "") -> Iterator[str]:
    for info in list(store.list(f"runs/{run}/tasks/" if run else "runs/")):
        if "/tasks/" in info.key and info.key.endswith(".parquet"):
            yield info.key


def _about(table: pa.Table, documents: Set[str]) -> pa.ChunkedArray:
    """Which rows name a segment of one of the documents."""
    starts = pc.utf8_slice_codeunits(pc.fill_null(table["document"], ""), 0, _ID_DIGITS)
    return pc.is_in(starts, value_set=pa.array(sorted(one[:_ID_DIGITS] for one in documents), pa.string()))


def _read(store: ObjectStore, key: str) -> pa.Table:
    try:
        return pq.read_table(io.BytesIO(store.get(key)), use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise IntegrityError(
            f"{key} in {store.url} is damaged, so nobody can tell which documents the run used. Restore it from a "
            "backup, or remove the run."
        ) from error
