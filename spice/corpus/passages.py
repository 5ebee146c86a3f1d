"""The segments of a dataset version on local disk, any of them at hand, so that memory does not grow with the corpus.

Training draws segments at random, and a version gives them in order. So the
version is read once, verified, into a compressed temporary file; of it memory
holds eight bytes for each batch of rows, and the last few batches.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa

from spice.corpus.dataset import SCHEMA, Segment, Split, iterate
from spice.errors import CorpusError
from spice.store.base import ObjectStore
from spice.store.disk import explained

# Small, since one drawn segment costs the reading of a batch.
_BATCH_ROWS = 64
_BATCH_CHARS = 1 << 16
_BATCHES_HELD = 8


@contextmanager
def opened(store: ObjectStore, ref: str, split: Split) -> Iterator[Passages]:
    """The segments of one split of a version, verified, in order of source and position, until the context ends.

    Args:
        store: where the version lies.
        ref: `datasets/<name>/<digest>`, or any shorter form that `spice.store.artifacts.resolve` knows.
        split: which segments.

    Raises:
        NotFoundError: there is no such version.
        IntegrityError: its bytes were changed, or it was not written by `ingest`.
        CorpusError: it has no segment in `split`, or it was withdrawn because a document in it was erased.
        StoreError: the folder for temporary files has no room for their text.
    """
    passages = Passages(segment for segment in iterate(store, ref) if segment.split == split)
    try:
        if not len(passages):
            raise CorpusError(f"{ref} has no {split} segments. Ingest more documents.")
        yield passages
    finally:
        passages.close()


class Passages:
    """Segments by position, each read when it is asked for. May be asked by several threads.

    Args:
        segments: all of them, in order; read once.

    Raises:
        StoreError: the folder for temporary files cannot be used.
    """

    def __init__(self, segments: Iterable[Segment]) -> None:
        place = Path(tempfile.gettempdir())
        with (
            explained(f"the segments of a dataset version could not be copied to {place}", place),
            tempfile.TemporaryDirectory(prefix="spice-passages-") as folder,
        ):
            path = Path(folder) / "segments.arrow"
            sizes = _write(segments, path)
            # Its name goes now and its bytes when it is closed, so a process that is killed later leaves nothing.
            self._file = pa.OSFile(str(path), "rb")
        self._starts = np.concatenate((np.zeros(1, np.int64), np.cumsum(np.array(sizes, np.int64))))
        options = pa.ipc.IpcReadOptions(use_threads=False)
        self._batch = lru_cache(_BATCHES_HELD)(pa.ipc.open_file(self._file, options=options).get_batch)

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, position: int) -> Segment:
        """One segment. Raises `IndexError` outside of 0 to before `len`."""
        if not 0 <= position < len(self):
            raise IndexError(f"there are {len(self)} segments, and none has the position {position}")
        number = int(np.searchsorted(self._starts, position, "right")) - 1
        (row,) = self._batch(number).slice(position - int(self._starts[number]), 1).to_pylist()
        return Segment(**row)

    def __iter__(self) -> Iterator[Segment]:
        for number in range(len(self._starts) - 1):
            for row in self._batch(number).to_pylist():
                yield Segment(**row)

    def close(self) -> None:
        """Give the disk back; no segment can be read afterwards."""
        self._batch.cache_clear()
        self._file.close()


def _write(segments: Iterable[Segment], path: Path) -> list[int]:
    """Write all segments to an Arrow file, and return how many each of its batches has."""
    sizes: list[int] = []
    rows: list[Segment] = []
    chars = 0
    options = pa.ipc.IpcWriteOptions(compression="zstd", use_threads=False)
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, SCHEMA, options=options) as writer:

        def flush() -> None:
            if rows:
                columns = [pa.array([getattr(row, field.name) for row in rows]) for field in fields(Segment)]
                writer.write_batch(pa.record_batch(columns, schema=SCHEMA))
                sizes.append(len(rows))
                rows.clear()

        for segment in segments:
            rows.append(segment)
            chars += len(segment.text)
            if len(rows) >= _BATCH_ROWS or chars >= _BATCH_CHARS:
                flush()
                chars = 0
        flush()
    return sizes
