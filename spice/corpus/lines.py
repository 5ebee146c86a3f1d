"""Boilerplate: lines that stand in many documents, such as menus, footers and legal notes."""

from __future__ import annotations

import hashlib
from collections.abc import Set

import numpy as np
from numpy.typing import NDArray

from spice.config import CorpusConfig

LineHashes = NDArray[np.uint64]


def line_hashes(text: str, config: CorpusConfig) -> LineHashes:
    """Sorted unique hashes of the lines that are long enough to be taken for boilerplate."""
    least = config.quality.boilerplate_characters
    return np.unique(np.array([_hash(line) for line in text.split("\n") if len(line) >= least], np.uint64))


def without_lines(text: str, frequent: Set[int], config: CorpusConfig) -> str:
    """The text without the lines whose hashes are given."""
    least = config.quality.boilerplate_characters
    return "\n".join(line for line in text.split("\n") if len(line) < least or _hash(line) not in frequent)


def _hash(line: str) -> int:
    words = " ".join(line.casefold().split())
    return int.from_bytes(hashlib.blake2b(words.encode("utf-8", "replace"), digest_size=8).digest())
