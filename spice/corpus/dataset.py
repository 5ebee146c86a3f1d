"""Dataset versions: immutable, named by digest, Parquet shards under a manifest.

The same segments always give the same bytes, so the same corpus, configuration
and tokenizer give the same reference.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import TypeAdapter, ValidationError

from spice.corpus.document import Unit
from spice.errors import CorpusError, IntegrityError, NotFoundError
from spice.store import artifacts
from spice.store.base import ObjectStore

Split = Literal["train", "held_out"]

SHARD_ROWS = 65536
SHARD_BYTES = 64 * 2**20
_GROUP_ROWS = 8192
# As many rows as the Parquet writer takes at a time: batches of another size would end its pages elsewhere, and the
# same segments must always give the same bytes.
_BATCH_ROWS = 1024
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
    chosen = [segment for segment in iterate(store, ref) if split is None or segment.split == split]
    if not chosen:
        raise CorpusError(f"{ref} has no {split or 'segments'}{' segments' if split else ''}. Ingest more documents.")
    return chosen


def iterate(store: ObjectStore, ref: str) -> Iterator[Segment]:
    """The segments of a version, verified; no more than one shard is held. Raises as `load` does."""
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
        CorpusError: it was withdrawn because a document in it was erased.
    """
    ref = artifacts.resolve(store, ref)
    _require_present(store, ref)
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
    _require_present(store, ref)
    if CLUSTERS not in artifacts.files(store, ref):
        return
    file = pq.ParquetFile(io.BytesIO(artifacts.read(store, ref, CLUSTERS)))
    for batch in file.iter_batches(use_threads=False):
        for row in batch.to_pylist():
            yield Cluster(**row)


def left_out(store: ObjectStore, ref: str) -> Iterator[bytes]:
    """The lines of a version's list of what was left out, in JSON, from a verified copy on disk: it may be long.

    Raises as `load` does.
    """
    ref = artifacts.resolve(store, ref)
    _require_present(store, ref)
    if LEFT_OUT not in artifacts.files(store, ref):
        return
    with (
        tempfile.TemporaryDirectory(prefix="spice-left-out-") as folder,
        artifacts.fetch(store, ref, LEFT_OUT, Path(folder) / LEFT_OUT).open("rb") as lines,
    ):
        yield from lines


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
    """Writes segments to Parquet files of bounded size in a folder; `files` names them.

    Holds at most one group of rows, in the dense form of Arrow.
    """

    def __init__(self, folder: Path) -> None:
        self.files: dict[str, Path] = {}
        self._folder = folder
        self._file: pq.ParquetWriter | None = None
        self._pending: list[Segment] = []
        self._group: list[pa.RecordBatch] = []
        self._rows = self._bytes = 0

    def add(self, segment: Segment) -> None:
        """Append one segment; full shards go to disk."""
        self._pending.append(segment)
        self._rows += 1
        self._bytes += len(segment.text)
        if self._rows >= SHARD_ROWS or self._bytes >= SHARD_BYTES:
            self.flush()
        elif len(self._pending) == _BATCH_ROWS:
            self._pack()

    def flush(self) -> None:
        """Complete the shard that is being written."""
        self._pack()
        self._write()
        if self._file is not None:
            self._file.close()
        self._file = None
        self._rows = self._bytes = 0

    def _pack(self) -> None:
        if self._pending:
            columns = [[getattr(row, field.name) for row in self._pending] for field in fields(Segment)]
            self._group.append(pa.record_batch(list(map(pa.array, columns)), schema=SCHEMA))
            self._pending = []
        if len(self._group) == _GROUP_ROWS // _BATCH_ROWS:
            self._write()

    def _write(self) -> None:
        if not self._group:
            return
        if self._file is None:
            name = f"segments-{len(self.files):05d}.parquet"
            self.files[name] = self._folder / name
            self._file = pq.ParquetWriter(
                self.files[name],
                SCHEMA,
                version="2.6",
                compression="zstd",
                compression_level=3,
                use_dictionary=["document_id", "source", "title", "unit", "split"],
                store_schema=False,
            )
        self._file.write_table(pa.Table.from_batches(self._group, SCHEMA), _GROUP_ROWS)
        self._group = []


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
        for batch in pq.ParquetFile(io.BytesIO(data)).iter_batches(_BATCH_ROWS, use_threads=False):
            found = batch if segment_id is None else batch.filter(pc.equal(batch.column("segment_id"), segment_id))
            yield from _SEGMENTS.validate_python(found.to_pylist())
    except (pa.ArrowException, OSError, KeyError, ValidationError) as error:  # OSError is how Arrow calls some damage
        raise IntegrityError(f"{where} is not a shard of segments that this program wrote: {error}") from error


SPLITS: tuple[Split, ...] = get_args(Split)
