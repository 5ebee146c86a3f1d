"""Dataset versions: immutable, named by digest, Parquet shards under a manifest.

The same segments always give the same bytes, so the same corpus, configuration
and tokenizer give the same reference.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import TypeAdapter, ValidationError

from spice.corpus.document import Unit
from spice.errors import CorpusError, IntegrityError, NotFoundError
from spice.store import artifacts
from spice.store.base import ObjectStore

Split = Literal["train", "held_out"]

SHARD_ROWS = 65536
SHARD_BYTES = 64 * 2**20
LEFT_OUT = "left_out.jsonl"
CLUSTERS = "clusters.parquet"
WITHDRAWN = "withdrawn.json"


@dataclass(frozen=True)
class Segment:
    """A piece of a document, at most `corpus.segment_tokens` long, and where it came from.

    `start` and `end` count bytes of the file (end exclusive), or pages or rows
    (from 1, both inclusive), as `unit` says. For an HTML page they are the
    whole file. `sha256` is that of `text`; `document_id` that of the whole
    cleaned document.
    """

    segment_id: str
    document_id: str
    source: str
    title: str
    unit: Unit
    start: int
    end: int
    sha256: str
    text: str
    tokens: int
    split: Split


SCHEMA = pa.schema(
    [
        pa.field(field.name, pa.int64() if field.name in {"start", "end", "tokens"} else pa.string(), nullable=False)
        for field in fields(Segment)
    ]
)
_SEGMENTS = TypeAdapter(list[Segment])


def load(store: ObjectStore, ref: str, split: Split | None = None) -> list[Segment]:
    """The segments of a dataset version, verified, in order of source and position.

    Args:
        store: where the version lies.
        ref: `datasets/<name>/<digest>`, or any shorter form that `spice.store.artifacts.resolve` knows.
        split: only this split.

    Raises:
        NotFoundError: there is no such version.
        IntegrityError: its bytes were changed, or it was not written by `ingest`.
        CorpusError: it has no segment in `split`, or was withdrawn because a document in it was erased.
    """
    segments = list(iterate(store, ref))
    chosen = [segment for segment in segments if split is None or segment.split == split]
    if not chosen:
        raise CorpusError(f"{ref} has no {split or 'segments'}{' segments' if split else ''}. Ingest more documents.")
    return chosen


def iterate(store: ObjectStore, ref: str) -> Iterator[Segment]:
    """The segments of a version, verified, one shard at a time. Raises as `load` does."""
    ref = artifacts.resolve(store, ref)
    _require_present(store, ref)
    for name in sorted(artifacts.files(store, ref)):
        if is_shard(name):
            yield from _read_shard(artifacts.read(store, ref, name), f"{ref}/{name}")


def find(store: ObjectStore, ref: str, segment_id: str) -> Segment:
    """One segment of a dataset version, verified; no more than one shard of the version is held in memory.

    Raises:
        NotFoundError: there is no such version, or no such segment in it.
        IntegrityError: its bytes were changed, or it was not written by `ingest`.
    """
    ref = artifacts.resolve(store, ref)
    for name in sorted(artifacts.files(store, ref)):
        if is_shard(name):
            for segment in _read_shard(artifacts.read(store, ref, name), f"{ref}/{name}", segment_id):
                return segment
    raise NotFoundError(f"{ref} has no segment {segment_id!r}.")


def manifest(store: ObjectStore, ref: str) -> dict[str, Any]:
    """The manifest of a dataset version: counts, configuration, tokenizer. Raises as `load` does."""
    return artifacts.manifest(store, artifacts.resolve(store, ref))


@dataclass(frozen=True)
class Cluster:
    """A document that was left out because it repeats a kept one.

    `similarity` is the Jaccard similarity of their runs of five words, 1 if they have the same words.
    """

    kept_id: str
    kept_source: str
    document_id: str
    source: str
    similarity: float


CLUSTER_SCHEMA = pa.schema(
    [
        pa.field(field.name, pa.float64() if field.name == "similarity" else pa.string(), nullable=False)
        for field in fields(Cluster)
    ]
)


def clusters(store: ObjectStore, ref: str) -> Iterator[Cluster]:
    """What was left out of a version as a duplicate, in order of name. Raises as `load` does."""
    ref = artifacts.resolve(store, ref)
    if CLUSTERS not in artifacts.files(store, ref):
        return
    file = pq.ParquetFile(io.BytesIO(artifacts.read(store, ref, CLUSTERS)))
    for batch in file.iter_batches(use_threads=False):
        for row in batch.to_pylist():
            yield Cluster(**row)


class ClusterWriter:
    """Writes clusters to one Parquet file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._rows: list[Cluster] = []
        self._file = pq.ParquetWriter(path, CLUSTER_SCHEMA, version="2.6", compression="zstd", store_schema=False)

    def add(self, cluster: Cluster) -> None:
        """Append one document."""
        self._rows.append(cluster)
        if len(self._rows) >= SHARD_ROWS:
            self._flush()

    def close(self) -> None:
        """Complete the file."""
        self._flush()
        self._file.close()

    def _flush(self) -> None:
        columns = {field.name: [getattr(row, field.name) for row in self._rows] for field in fields(Cluster)}
        if self._rows:
            self._file.write_table(pa.table(columns, schema=CLUSTER_SCHEMA))
        self._rows = []


class ShardWriter:
    """Writes segments to Parquet files of bounded size in a folder; `files` names them."""

    def __init__(self, folder: Path) -> None:
        self.files: dict[str, Path] = {}
        self._folder = folder
        self._rows: list[Segment] = []
        self._bytes = 0

    def add(self, segment: Segment) -> None:
        """Append one segment; full shards go to disk."""
        self._rows.append(segment)
        self._bytes += len(segment.text)
        if len(self._rows) >= SHARD_ROWS or self._bytes >= SHARD_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what is pending."""
        if not self._rows:
            return
        name = f"segments-{len(self.files):05d}.parquet"
        path = self._folder / name
        columns = {field.name: [getattr(row, field.name) for row in self._rows] for field in fields(Segment)}
        pq.write_table(
            pa.table(columns, schema=SCHEMA),
            path,
            version="2.6",
            compression="zstd",
            compression_level=3,
            use_dictionary=["document_id", "source", "title", "unit", "split"],
            row_group_size=8192,
            store_schema=False,
        )
        self.files[name] = path
        self._rows, self._bytes = [], 0


def is_shard(name: str) -> bool:
    """Whether a dataset's file holds segments, and is no table beside them."""
    return name.startswith("segments-") and name.endswith(".parquet")


def _require_present(store: ObjectStore, ref: str) -> None:
    if store.head(f"{ref}/{WITHDRAWN}") is not None:
        raise CorpusError(
            f"{ref} was withdrawn because a document in it was erased; the ledger says why. "
            f"Use {ref.rpartition('/')[0]}, the latest version without it."
        )


def _read_shard(data: bytes, where: str, segment_id: str | None = None) -> Iterator[Segment]:
    """The segments of a shard, or only the one of that id."""
    try:
        # Without threads: Arrow's thread pools sometimes abort the interpreter when it exits soon after.
        table = pq.ParquetFile(io.BytesIO(data)).read(use_threads=False)
        if segment_id is not None:
            ids = table["segment_id"].to_pylist()
            table = table.slice(ids.index(segment_id), 1) if segment_id in ids else table.slice(0, 0)
        rows = table.to_pylist()
        yield from _SEGMENTS.validate_python(rows)
    except (pa.ArrowException, ValidationError) as error:
        raise IntegrityError(f"{where} is not a shard of segments that this program wrote: {error}") from error


SPLITS: tuple[Split, ...] = get_args(Split)
