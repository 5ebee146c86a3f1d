"""Comparing all documents with each other: which are kept, which repeat them, which are held out.

The fingerprints of all documents lie on disk, one file per band; one band at a
time is sorted in memory, eight bytes a document. Texts are read again only for
pairs that look alike.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spice.config import CorpusConfig
from spice.corpus import near_duplicates
from spice.corpus.catalogue import Catalogue, Entry
from spice.corpus.packs import Packs
from spice.corpus.prepare import word_sequence
from spice.corpus.split import is_held_out

_CACHED = 256


@dataclass(frozen=True)
class Found:
    """A document of this ingest, or something that did not become one.

    Attributes:
        source: its name in the corpus.
        entry: its file.
        number: its place in `documents` of the pack.
        row: what stands there.
    """

    source: str
    entry: Entry
    number: int
    row: dict[str, Any]


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


def documents(catalogue: Catalogue, packs: Packs) -> Iterator[Found]:
    """Everything in the files of an ingest, in order of name."""
    for entry in catalogue.entries():
        pack = packs.get(entry.pack)
        for number in range(pack.starts[entry.file], pack.starts[entry.file + 1]):
            row = pack.documents[number]
            yield Found(entry.name + row["member"], entry, number, row)


def kept_texts(catalogue: Catalogue, packs: Packs, outcome: Outcome) -> Iterator[tuple[int, bytes, str]]:
    """Index, digest and text of every kept document, in order of name."""
    passed = (one for one in documents(catalogue, packs) if not one.row["stage"])
    for index, one in enumerate(passed):
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
    spilled = _Spilled(folder, near_duplicates.bands_of(config)[0])
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


def _pairs(spilled: _Spilled, packs: Packs, config: CorpusConfig) -> NDArray[Any]:
    pairs = np.zeros(spilled.count, _PAIR)
    pairs["repeats"] = _exact(spilled.words(), spilled.preference(config.keep))
    pairs["similarity"] = pairs["exact"] = pairs["repeats"] >= 0
    unique = np.flatnonzero(pairs["repeats"] < 0)
    unique = unique[np.argsort(spilled.preference(config.keep)[unique], kind="stable")]
    where = spilled.where()

    @lru_cache(maxsize=_CACHED)
    def load(place: int) -> near_duplicates.Hashes:
        ref, number = where(int(unique[place]))
        texts = [row["text"] for row in packs.get(ref).segments(number)]
        return near_duplicates.shingles(word_sequence("\n\n".join(texts)))

    columns = (spilled.band(band)[unique] for band in range(spilled.bands))
    found = near_duplicates.near_duplicates(columns, len(unique), load, config.near_duplicate_threshold)
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


def _held_out(ids: Sequence[bytes], repeats: NDArray[np.int64], share: float) -> NDArray[np.bool_]:
    """A document is held out if its own hash says so, or that of any document it stands for."""
    drawn = np.array([is_held_out(one.hex(), share) for one in ids], np.bool_)
    held_out = drawn.copy()
    held_out[repeats[drawn & (repeats >= 0)]] = True
    return held_out


class _Spilled:
    """What is compared, on disk: digests, sizes and places of all documents, and one file per band."""

    def __init__(self, folder: Path, bands: int) -> None:
        self._folder, self.bands = folder, bands
        self.count = 0
        self._refs: list[str] = []
        folder.mkdir(parents=True, exist_ok=True)

    def fill(self, found: Iterator[Found], files: int, progress: Callable[[int, int, str], None]) -> bytes:
        """Take in all documents that passed, and return a digest of all of them."""
        summed, numbers = hashlib.sha256(), dict[str, int]()
        names = ["ids", "words", "sizes", "where", *(self._band_name(band) for band in range(self.bands))]
        done, last = 0, None
        with ExitStack() as stack:
            out = {name: stack.enter_context(self._path(name).open("wb")) for name in names}
            for one in found:
                if one.entry is not last:
                    progress(done, files, "compare")
                    done, last = done + 1, one.entry
                if one.row["stage"]:
                    continue
                pack = numbers.setdefault(one.entry.pack, len(numbers))
                place = np.array([pack, one.number], "<i8").tobytes()
                size = np.array([one.row["size"]], "<i8").tobytes()
                values = (one.row["document_id"], one.row["words"], size, place)
                for name, value in zip(names[:4], values, strict=True):
                    out[name].write(value)
                for band in range(self.bands):
                    out[names[4 + band]].write(one.row["bands"][8 * band : 8 * band + 8])
                summed.update(b"".join(values) + one.entry.pack.encode())
                self.count += 1
        self._refs = list(numbers)
        progress(files, files, "compare")
        return summed.digest()

    def ids(self) -> list[bytes]:
        """Document ids."""
        data = self._path("ids").read_bytes()
        return [data[begin : begin + 32] for begin in range(0, len(data), 32)]

    def words(self) -> NDArray[np.uint64]:
        """Digests of the words, shape (documents, 2)."""
        return np.fromfile(self._path("words"), "<u8").reshape(-1, 2)

    def band(self, band: int) -> NDArray[np.uint64]:
        """Hashes of one band, shape (documents,)."""
        return np.fromfile(self._path(self._band_name(band)), "<u8")

    def preference(self, keep: str) -> NDArray[np.int64]:
        """Rank of each document: of several copies the lowest is kept, shape (documents,)."""
        ranks = np.arange(self.count, dtype=np.int64)
        if keep == "first":
            return ranks
        ids = np.fromfile(self._path("ids"), ">u8").reshape(-1, 4)
        order = np.lexsort((ids[:, 3], ids[:, 2], ids[:, 1], ids[:, 0], -np.fromfile(self._path("sizes"), "<i8")))
        result = np.empty_like(ranks)
        result[order] = ranks
        return result

    def where(self) -> Callable[[int], tuple[str, int]]:
        """A function from a document to its pack and its row there."""
        places = np.fromfile(self._path("where"), "<i8").reshape(-1, 2)
        return lambda document: (self._refs[int(places[document, 0])], int(places[document, 1]))

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.bin"

    def _band_name(self, band: int) -> str:
        return f"band-{band:03d}"


def _digest(key: bytes, config: CorpusConfig) -> str:
    """Documents and settings of a comparison."""
    settings = f"{config.near_duplicate_threshold} {config.keep}"
    return hashlib.sha256(key + settings.encode()).hexdigest()[:16]
