"""What stands in many documents: lines, passages. Counted in parts on disk, so memory does not grow with the corpus."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_PARTITIONS = 256
_PARTITION_BITS = 8


def frequent(
    documents: Iterable[NDArray[np.uint64]], least: int, folder: Path
) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """The hashes that at least so many documents have.

    Args:
        documents: of each its sorted unique hashes.
        least: documents.
        folder: is made, and empty afterwards.

    Returns:
        The hashes, sorted, and how many documents have each, both of shape (hashes,).

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"part-{part:03d}.u64" for part in range(_PARTITIONS)]
    with ExitStack() as stack:
        files = [stack.enter_context(path.open("wb")) for path in paths]
        for hashes in documents:
            parts = (hashes >> np.uint64(64 - _PARTITION_BITS)).astype(np.int64)  # sorted, as the hashes are
            edges = np.searchsorted(parts, np.arange(_PARTITIONS + 1))
            for part in np.unique(parts):
                files[part].write(hashes[edges[part] : edges[part + 1]].tobytes())
    found, numbers = [], []
    for path in paths:
        values, counts = np.unique(np.fromfile(path, np.uint64), return_counts=True)
        found.append(values[counts >= least])
        numbers.append(counts[counts >= least])
        path.unlink()
    return np.concatenate(found), np.concatenate(numbers)
