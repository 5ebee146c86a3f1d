"""What drift is looked for in: documents of a dataset version, tasks of a run, requests to the gateway.

Each becomes a sample of units that may be compared: independent of each other as far as one can tell, and drawn
blindly where there are many.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import ValidationError

from spice.corpus import dataset
from spice.errors import CorpusError, IntegrityError, NotFoundError
from spice.store import artifacts
from spice.store.base import ObjectStore
from spice.text.sketch import Sketch, sketch

Kind = Literal["corpus", "tasks", "traffic"]

TRAFFIC = "traffic/"
_KINDS: dict[str, Kind] = {"datasets": "corpus", "runs": "tasks", "traffic": "traffic"}


@dataclass(frozen=True)
class Sample:
    """Units drawn from one source.

    Attributes:
        ref: the source: a whole reference, `runs/<run>`, or a prefix below `traffic/`.
        part: which of its units were eligible, in words.
        available: how many those are.
        ids: what tells units apart, one per drawn unit.
        lengths_N: their lengths, in characters.
        trigrams_NH: their hashed trigrams, see `spice.text.sketch`.
    """

    ref: str
    part: str
    available: int
    ids: tuple[str, ...]
    lengths_N: NDArray[np.float64]
    trigrams_NH: NDArray[np.float64]


def kind_of(ref: str) -> Kind | None:
    """What kind of source a reference names, `None` if it is no source."""
    return _KINDS.get(ref.partition("/")[0])


def documents(store: ObjectStore, name: str, most: int, rng: np.random.Generator) -> Sample:
    """Documents of a dataset version, of both splits.

    Raises:
        NotFoundError: there is no such version.
        IntegrityError: it is damaged.
        CorpusError: it has no segment, or was withdrawn.
    """
    ref = artifacts.resolve(store, name)
    there = sorted({segment.document_id for segment in dataset.iterate(store, ref)})
    if not there:
        raise CorpusError(f"{ref} has no segments. Ingest more documents.")
    drawn = _draw(there, most, rng)
    texts: dict[str, list[str]] = {document: [] for document in drawn}
    for segment in dataset.iterate(store, ref):
        if segment.document_id in texts:
            texts[segment.document_id].append(segment.text)
    return _sample(ref, "documents", len(there), drawn, [sketch("\n".join(texts[document])) for document in drawn])


def tasks(
    store: ObjectStore, run: str, window: int, end: Literal["first", "last"], most: int, rng: np.random.Generator
) -> Sample:
    """Questions of valid tasks from the first or the last iterations of a run; never from both halves of it.

    Raises:
        NotFoundError: there is no such run, or it has not posed a valid task there.
        IntegrityError: its records are damaged.
    """
    keys = sorted(info.key for info in store.list(f"runs/{run}/tasks/"))
    if end == "first" and len(keys) == 1:
        raise NotFoundError(f"Run {run} in {store.url} has one iteration only; there is nothing to compare it with.")
    size = min(window, max(1, len(keys) // 2))
    chosen = keys[:size] if end == "first" else keys[-size:]
    posed: dict[str, list[str]] = {}
    for key in chosen:
        for unit, text in _questions(store, key):
            posed.setdefault(unit, []).append(text)
    if not posed:
        where = f"in the {end} {size} iterations of run {run}" if keys else f"by a run {run}"
        raise NotFoundError(f"No valid task was posed {where} in {store.url}. `spice runs` lists the runs.")
    drawn = _draw(sorted(posed), most, rng)
    part = f"tasks of the {end} {size} iterations, one per passage"
    return _sample(f"runs/{run}", part, len(posed), drawn, [sketch(_one(posed[unit], rng)) for unit in drawn])


def traffic(store: ObjectStore, prefix: str, most: int, rng: np.random.Generator) -> Sample:
    """Requests that the gateway noted: JSON lines, each a `spice.text.sketch.Sketch`, under `traffic/`.

    Of many, the newest objects (by name) are read until there are four times as many requests as are drawn.

    Raises:
        NotFoundError: none were noted.
        IntegrityError: a line is not such a sketch.
    """
    found: dict[str, Sketch] = {}
    for key in sorted((info.key for info in store.list(prefix)), reverse=True):
        found |= dict(_requests(store, key))
        if len(found) >= 4 * most:
            break
    if not found:
        raise NotFoundError(f"No requests are noted under {prefix} in {store.url}.")
    drawn = _draw(sorted(found), most, rng)
    return _sample(prefix, "requests", len(found), drawn, [found[unit] for unit in drawn])


def _questions(store: ObjectStore, key: str) -> Iterator[tuple[str, str]]:
    """Valid questions with the unit that each belongs to: its passage, or itself where tasks have no passage."""
    try:
        columns = ["document", "question", "valid"]
        table = pq.read_table(io.BytesIO(store.get(key)), columns=columns, use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise IntegrityError(
            f"{key} in {store.url} is damaged, so nobody can tell whether its tasks drifted. Restore it from a backup."
        ) from error
    for number, row in enumerate(table.to_pylist()):
        if row["valid"] and row["question"]:
            yield str(row["document"] or f"{key}#{number}"), str(row["question"])


def _requests(store: ObjectStore, key: str) -> Iterator[tuple[str, Sketch]]:
    for number, line in enumerate(store.get(key).splitlines(), start=1):
        try:
            yield f"{key}#{number:09d}", Sketch.model_validate_json(line)
        except ValidationError as error:
            raise IntegrityError(
                f"Line {number} of {key} in {store.url} is not a sketch of a request. Restore the object or remove it."
            ) from error


def _one(texts: Sequence[str], rng: np.random.Generator) -> str:
    """Questions about one passage resemble each other, so only one of them counts."""
    return texts[int(rng.integers(len(texts)))]


def _draw(units: Sequence[str], most: int, rng: np.random.Generator) -> list[str]:
    if len(units) <= most:
        return list(units)
    return [units[place] for place in np.sort(rng.choice(len(units), size=most, replace=False))]


def _sample(ref: str, part: str, available: int, ids: Sequence[str], sketches: Sequence[Sketch]) -> Sample:
    return Sample(
        ref=ref,
        part=part,
        available=available,
        ids=tuple(ids),
        lengths_N=np.array([one.characters for one in sketches], dtype=np.float64),
        trigrams_NH=np.stack([one.histogram() for one in sketches]).astype(np.float64),
    )
