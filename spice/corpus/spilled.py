"""What documents are compared by, on disk: a corpus has more fingerprints than a machine has memory."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spice.corpus.found import Found
from spice.corpus.near_duplicates import Hashes

_ID_BYTES = 32
_RECENT_BYTES = 16 * 2**20


class Spilled:
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

    def ids(self) -> Iterator[bytes]:
        """Document ids, 32 bytes each."""
        with self._path("ids").open("rb") as file:
            while one := file.read(_ID_BYTES):
                yield one

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


class Recent:
    """Remembers what a function gave last, up to 16 MiB of arrays, and always the last two.

    Args:
        load: the hashes of document i.
    """

    def __init__(self, load: Callable[[int], Hashes]) -> None:
        self._load = load
        self._held: OrderedDict[int, Hashes] = OrderedDict()
        self._bytes = 0

    def __call__(self, document: int) -> Hashes:
        """The hashes of document i."""
        if document in self._held:
            self._held.move_to_end(document)
            return self._held[document]
        hashes = self._load(document)
        self._held[document] = hashes
        self._bytes += hashes.nbytes
        while self._bytes > _RECENT_BYTES and len(self._held) > 2:
            self._bytes -= self._held.popitem(last=False)[1].nbytes
        return hashes
