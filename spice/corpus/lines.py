"""Boilerplate: lines that stand in many documents, such as menus, footers and legal notes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Set
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spice.config import CorpusConfig

LineHashes = NDArray[np.uint64]

_PARTITIONS = 64


def line_hashes(text: str, config: CorpusConfig) -> LineHashes:
    """Sorted unique hashes of the lines that are long enough to be taken for boilerplate."""
    least = config.quality.boilerplate_characters
    return np.unique(np.array([_hash(line) for line in text.split("\n") if len(line) >= least], np.uint64))


def frequent_lines(documents: Iterable[LineHashes], least: int, folder: Path) -> LineHashes:
    """Sorted hashes of the lines that stand in at least so many documents.

    They are counted in parts that lie on disk meanwhile, so memory does not grow with the corpus.

    Args:
        documents: of each its `line_hashes`.
        least: documents.
        folder: is made, and empty afterwards.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"lines-{part:02d}.u64" for part in range(_PARTITIONS)]
    with ExitStack() as stack:
        files = [stack.enter_context(path.open("wb")) for path in paths]
        for hashes in documents:
            parts = (hashes >> np.uint64(58)).astype(np.int64)  # sorted, as the hashes are
            edges = np.searchsorted(parts, np.arange(_PARTITIONS + 1))
            for part in np.unique(parts):
                files[part].write(hashes[edges[part] : edges[part + 1]].tobytes())
    found = []
    for path in paths:
        values, counts = np.unique(np.fromfile(path, np.uint64), return_counts=True)
        found.append(values[counts >= least])
        path.unlink()
    return np.concatenate(found)


def without_lines(text: str, frequent: Set[int], config: CorpusConfig) -> str:
    """The text without the lines whose hashes are given."""
    least = config.quality.boilerplate_characters
    return "\n".join(line for line in text.split("\n") if len(line) < least or _hash(line) not in frequent)


def _hash(line: str) -> int:
    words = " ".join(line.casefold().split())
    return int.from_bytes(hashlib.blake2b(words.encode("utf-8", "replace"), digest_size=8).digest())
