"""Read a run from the store, as far as it got.

A part that is not there yet is left out; a part that is there and cannot be trusted or understood is left out and
named in `Run.problems`, so that a damaged store still gives a report that says so.
"""

from __future__ import annotations

import io
import random
import re
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import TypeAdapter, ValidationError

from spice.corpus.dataset import is_shard
from spice.errors import NotFoundError, SpiceError
from spice.evaluation.schema import EvaluationReport
from spice.promotion import gate
from spice.promotion.gate import Decision
from spice.promotion.log import ReleaseLog
from spice.reporting.records import (
    Attempt,
    Coevolution,
    CorpusManifest,
    Iteration,
    Passage,
    Run,
    RunInfo,
)
from spice.store import ObjectStore, artifacts

SAMPLES = 12
INVALID_EVERY = 4  # every fourth sample is an invalid attempt, where there is one

T = TypeVar("T")
_TREE = TypeAdapter(dict[str, Any])
_ATTEMPTS = TypeAdapter(list[Attempt])


def runs(store: ObjectStore) -> list[tuple[str, RunInfo]]:
    """Name and state of every run in the store, in order of name."""
    names = sorted({match[1] for info in store.list("runs/") if (match := re.match(r"runs/([^/]+)/", info.key))})
    return [(name, _Parts(store, name).info()) for name in names]


def load(store: ObjectStore, name: str) -> Run:
    """Read everything that a report shows. Raises `NotFoundError` if there is no such run."""
    parts = _existing(store, name)
    info = parts.info()
    samples = parts.samples()
    corpus = parts.referenced(info.corpus, artifacts.manifest, CorpusManifest.model_validate)
    return Run(
        name=name,
        info=info,
        iterations=tuple(parts.iterations()),
        samples=tuple(samples),
        passages=parts.passages(info.corpus, corpus, {sample.document for sample in samples}),
        corpus=corpus,
        evaluation=parts.referenced(info.evaluation, artifacts.read_json, EvaluationReport.model_validate),
        decision=parts.referenced(info.decision, _decision, lambda decision: decision),
        coevolution=parts.own("coevolution.json", Coevolution.model_validate_json),
        config=parts.own("config.json", _TREE.validate_json),
        problems=tuple(parts.problems),
    )


def run_info(store: ObjectStore, name: str) -> RunInfo:
    """State and references of one run. Raises `NotFoundError` if there is no such run."""
    return _existing(store, name).info()


def slots(available: int, count: int = SAMPLES) -> list[int]:
    """`count` indices spread evenly over `range(available)`, repeating where there are fewer than `count`."""
    return [slot * available // count for slot in range(count)] if available else []


def _existing(store: ObjectStore, name: str) -> _Parts:
    parts = _Parts(store, name)
    if not parts.keys:
        known = ", ".join(run for run, _ in runs(store)) or "none"
        raise NotFoundError(f"there is no run {name!r} in {store.url}; runs are: {known}")
    return parts


class _Parts:
    """Reads the objects of one run and notes what could not be read."""

    def __init__(self, store: ObjectStore, name: str) -> None:
        self.store = store
        self.name = name
        self.keys = [info.key for info in store.list(f"runs/{name}/")]
        self.problems: list[str] = []

    def info(self) -> RunInfo:
        return self.own("run.json", RunInfo.model_validate_json) or RunInfo()

    def own(self, path: str, parse: Callable[[bytes], T]) -> T | None:
        """An object in the run's own folder."""
        key = f"runs/{self.name}/{path}"
        return self._guarded(key, lambda: parse(self.store.get(key))) if key in self.keys else None

    def referenced(
        self, ref: str | None, read: Callable[[ObjectStore, str], object], parse: Callable[[Any], T]
    ) -> T | None:
        """An object elsewhere in the store that `run.json` names."""
        return self._guarded(ref, lambda: parse(read(self.store, ref))) if ref is not None else None

    def iterations(self) -> Iterable[Iteration]:
        for path in self._paths("iterations/"):
            row = self.own(path, Iteration.model_validate_json)
            if row is not None:
                yield row

    def samples(self) -> list[Attempt]:
        """Attempts spread evenly over the run and drawn blindly within an iteration, so that nobody picked them."""
        paths = self._paths("tasks/")
        chosen: list[Attempt] = []
        wanted: dict[str, list[bool]] = {}
        for slot, index in enumerate(slots(len(paths))):
            wanted.setdefault(paths[index], []).append((slot + 1) % INVALID_EVERY != 0)
        for path, kinds in wanted.items():
            attempts = self.own(path, _read_attempts) or []
            rng = random.Random(f"{self.name}/{path}")
            for valid in (True, False):
                matching = [attempt for attempt in attempts if attempt.valid is valid]
                chosen += rng.sample(matching, min(kinds.count(valid), len(matching)))
        return chosen

    def passages(self, ref: str | None, manifest: CorpusManifest | None, documents: set[str]) -> dict[str, Passage]:
        """The segments that the samples came from, by segment id; one file of the dataset at a time in memory."""
        found: dict[str, Passage] = {}
        shards = [name for name in sorted(manifest.files) if is_shard(name)] if manifest is not None else []
        for name in shards if documents else ():
            found |= self.referenced(ref, partial(artifacts.read, name=name), partial(_find, documents=documents)) or {}
        return found

    def _paths(self, folder: str) -> list[str]:
        prefix = f"runs/{self.name}/"
        return sorted(key.removeprefix(prefix) for key in self.keys if key.startswith(prefix + folder))

    def _guarded(self, what: str, read: Callable[[], T]) -> T | None:
        try:
            return read()
        except NotFoundError:
            self.problems.append(f"{what} is not in the store any more.")
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"])) or "the whole"
            self.problems.append(f"{what} is not what it should be: {where}: {first['msg']}")
        except (SpiceError, pa.ArrowException, OSError) as error:  # OSError is how Arrow calls some damage
            # The first line alone: what follows may quote the object that is not to be trusted.
            self.problems.append(f"{what} cannot be read: {str(error).partition(chr(10))[0]}")
        return None


def _decision(store: ObjectStore, ref: str) -> Decision:
    # Which keys count, and from when on, is what the ledger says.
    return gate.load(store, ref, ReleaseLog(store).keyring)


def _read_attempts(data: bytes) -> list[Attempt]:
    # Without threads: Arrow's thread pools sometimes abort the interpreter when it exits soon after.
    rows = pq.read_table(io.BytesIO(data), use_threads=False).to_pylist()
    return _ATTEMPTS.validate_python(
        [{name: value for name, value in row.items() if value is not None} for row in rows]
    )


def _find(data: bytes, documents: set[str]) -> dict[str, Passage]:
    table = pq.read_table(
        io.BytesIO(data),
        columns=["segment_id", "title", "text"],
        filters=[("segment_id", "in", documents)],
        use_threads=False,
    )
    return {row["segment_id"]: Passage.model_validate(row) for row in table.to_pylist()}
