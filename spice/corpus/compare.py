"""Comparing all documents with each other: which are kept, which repeat them, which are held out.

The fingerprints of all documents lie on disk, one file per band; one band at a
time is sorted in memory, eight bytes a document. Texts are read again only for
pairs that look alike.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spice.config import CorpusConfig
from spice.corpus import near_duplicates
from spice.corpus.catalogue import Catalogue
from spice.corpus.found import documents, passed
from spice.corpus.packs import Packs
from spice.corpus.prepare import word_sequence
from spice.corpus.spilled import Recent, Spilled
from spice.corpus.split import is_held_out


@dataclass(frozen=True)
class Outcome:
    """What comparing found; index i is the i-th document that passed all steps before, in order of name.

    Attributes:
        repeats: the kept document that each repeats, -1 if it is kept, shape (documents,).
        similarity: Jaccard similarity of the two, 1 for equal words, shape (documents,).
        exact: whether it has the same words as another document, kept or not, shape (documents,).
        held_out: whether a kept document is held out, shape (documents,).
        quarantined: kept documents that screens across documents hold back, with why and the passage.
    """

    repeats: NDArray[np.int64]
    similarity: NDArray[np.float32]
    exact: NDArray[np.bool_]
    held_out: NDArray[np.bool_]
    quarantined: Mapping[int, tuple[str, str]] = field(default_factory=dict)


def kept_texts(catalogue: Catalogue, packs: Packs, outcome: Outcome) -> Iterator[tuple[int, bytes, str]]:
    """Index, digest and text of every kept document, in order of name."""
    for index, one in enumerate(passed(catalogue, packs)):
        if outcome.repeats[index] < 0:
            pieces = packs.get(one.entry.pack).segments(one.number)
            yield index, one.row["document_id"], "\n\n".join(piece["text"] for piece in pieces)


def compare(
    catalogue: Catalogue,
    packs: Packs,
    config: CorpusConfig,
    folder: Path,
    progress: Callable[[int, int, str], None],
) -> Outcome:
    """Find exact and near duplicates among the documents that passed all other steps, and who is held out.

    Args:
        catalogue: the files.
        packs: their documents.
        config: threshold, which of several copies is kept, and the share to hold out.
        folder: for fingerprints; a finished comparison of the same documents is found in it.
        progress: told how many files are done.
    """
    spilled = Spilled(folder, near_duplicates.bands_of(config)[0])
    key = spilled.fill(documents(catalogue, packs), len(catalogue), progress)
    finished = folder / f"outcome-{_digest(key, config)}.npy"
    if not finished.exists():
        pairs = _pairs(spilled, packs, config)
        unfinished = finished.with_suffix(".part")
        with unfinished.open("wb") as file:
            np.save(file, pairs, allow_pickle=False)
        unfinished.rename(finished)
    pairs = np.load(finished, allow_pickle=False)
    held_out = _held_out(spilled.ids(), pairs["repeats"], config.held_out_share)
    return Outcome(pairs["repeats"], pairs["similarity"], pairs["exact"], held_out)


_PAIR = np.dtype([("repeats", np.int64), ("similarity", np.float32), ("exact", np.bool_)])


def _pairs(spilled: Spilled, packs: Packs, config: CorpusConfig) -> NDArray[Any]:
    pairs = np.zeros(spilled.count, _PAIR)
    pairs["repeats"] = _exact(spilled.words(), spilled.preference(config.keep))
    pairs["similarity"] = pairs["exact"] = pairs["repeats"] >= 0
    unique = np.flatnonzero(pairs["repeats"] < 0)
    unique = unique[np.argsort(spilled.preference(config.keep)[unique], kind="stable")]
    where = spilled.where()

    def load(place: int) -> near_duplicates.Hashes:
        ref, number = where(int(unique[place]))
        texts = [row["text"] for row in packs.get(ref).segments(number)]
        return near_duplicates.shingles(word_sequence("\n\n".join(texts)))

    columns = (spilled.band(band)[unique] for band in range(spilled.bands))
    found = near_duplicates.near_duplicates(columns, len(unique), Recent(load), config.near_duplicate_threshold)
    repeating = found.of >= 0
    pairs["repeats"][unique[repeating]] = unique[found.of[repeating]]
    pairs["similarity"][unique[repeating]] = found.similarity[repeating]
    # A copy of what repeats another repeats that other one.
    copies = np.flatnonzero(pairs["repeats"] >= 0)
    originals = pairs["repeats"][pairs["repeats"][copies]]
    indirect = copies[originals >= 0]
    pairs["similarity"][indirect] = pairs["similarity"][pairs["repeats"][indirect]]
    pairs["repeats"][indirect] = originals[originals >= 0]
    return pairs


def _exact(words: NDArray[np.uint64], preference: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each document the preferred one with the same words, -1 if it is that itself."""
    order = np.lexsort((preference, words[:, 1], words[:, 0]))
    ordered = words[order]
    first = np.ones(len(order), np.bool_)
    first[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    heads = order[np.maximum.accumulate(np.where(first, np.arange(len(order)), 0))]
    repeats = np.full(len(order), -1, np.int64)
    repeats[order[~first]] = heads[~first]
    return repeats


def _held_out(ids: Iterator[bytes], repeats: NDArray[np.int64], share: float) -> NDArray[np.bool_]:
    """A document is held out if its own hash says so, or that of any document it stands for."""
    drawn = np.fromiter((is_held_out(one.hex(), share) for one in ids), np.bool_, len(repeats))
    held_out = drawn.copy()
    held_out[repeats[drawn & (repeats >= 0)]] = True
    return held_out


def _digest(key: bytes, config: CorpusConfig) -> str:
    """Documents and settings of a comparison."""
    settings = f"{config.near_duplicate_threshold} {config.keep}"
    return hashlib.sha256(key + settings.encode()).hexdigest()[:16]
