"""Near duplicates: MinHash over word 5-grams finds candidates, the true Jaccard similarity decides.

A document is dropped if an earlier *kept* document is similar enough, so chains
of ever less similar documents do not collapse into their first member.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import IO

import numpy as np
from numpy.typing import NDArray

from spice.config import CorpusConfig

Hashes = NDArray[np.uint64]

SHINGLE_WORDS = 5
_HASHES = 128
_RECALL = 0.995
_CHUNK = 1 << 20
_PRIME = 0x9E3779B97F4A7C15  # odd, so it has an inverse modulo 2^64
_REPRESENTATIVES = 64
_AT_ONCE = 1 << 16
_BLOCK = 1024


def shingles(words: str) -> Hashes:
    """Sorted unique hashes of all runs of five words; of the whole text if it has fewer.

    Args:
        words: words with one blank between them, as `clean.fingerprint_text` gives.
    """
    return np.unique(np.concatenate((np.zeros(0, np.uint64), *runs(words))))


def runs(words: str) -> Iterator[Hashes]:
    """The hashes of all runs of five words in order, repeated ones included, in parts; see `shingles`."""
    return map(_chunk_shingles, _chunks(words.encode("utf-8", "replace")))


def similarity(a: Hashes, b: Hashes) -> float:
    """Jaccard similarity of two sets of shingles."""
    if not len(a) or not len(b):
        return 0.0
    both = len(np.intersect1d(a, b, assume_unique=True))
    return both / (len(a) + len(b) - both)


def bands_for(threshold: float) -> tuple[int, int]:
    """Bands and rows per band: the most selective split that still finds 99.5% of pairs at `threshold`.

    A pair of similarity s shares a band of r rows with probability 1 - (1 - s^r)^b.
    """
    best = (_HASHES, 1)
    for rows in range(2, 33):
        bands = _HASHES // rows
        if 1 - (1 - threshold**rows) ** bands >= _RECALL:
            best = (bands, rows)
    return best


def bands_of(config: CorpusConfig) -> tuple[int, int]:
    """Bands and rows per band that the configuration asks for, or else `bands_for` its threshold."""
    if config.near_duplicate_bands is None:
        return bands_for(config.near_duplicate_threshold)
    return config.near_duplicate_bands, config.near_duplicate_rows


def band_hashes(shingle_hashes: Iterable[Hashes], bands: int, rows: int) -> Hashes:
    """One hash per band, shape (bands,): documents that share one are candidates.

    Each row is the least of 32-bit multiply-add hashes, so that a processor's vector units do the work.

    Args:
        shingle_hashes: of one document, as `runs` gives them; one part at a time is in memory.
        bands: see `bands_of`.
        rows: hashes in each band.
    """
    count = bands * rows
    least = np.full(count, np.iinfo(np.uint32).max, np.uint32)
    factors, offsets = _permutations(count)
    for hashes in shingle_hashes:
        high = (hashes >> np.uint64(32)).astype(np.uint32)
        mixed = np.empty((count, min(_BLOCK, len(high))), np.uint32)
        for begin in range(0, len(high), _BLOCK):
            block = high[begin : begin + _BLOCK]
            part = mixed[:, : len(block)]
            np.multiply(factors[:, None], block[None, :], out=part)
            np.add(part, offsets[:, None], out=part)
            np.minimum(least, part.min(axis=1), out=least)
    result = np.zeros(bands, np.uint64)
    for column in least.astype(np.uint64).reshape(bands, rows).T:
        result = _mix(result * np.uint64(_PRIME) ^ column)
    return result


@dataclass(frozen=True)
class Repeats:
    """Which documents repeat others.

    Attributes:
        of: for each document the one that it repeats, -1 if none, shape (documents,).
        similarity: their Jaccard similarity, 0 where there is none, shape (documents,).
    """

    of: NDArray[np.int64]
    similarity: NDArray[np.float32]


def near_duplicates(bands: Iterable[Hashes], count: int, load: Callable[[int], Hashes], threshold: float) -> Repeats:
    """Find the documents to drop, each with the earlier kept document that it repeats.

    Which documents share a band lies in a temporary file, so memory holds some 30 bytes per document, and six for each
    band that a document shares with another.

    Args:
        bands: for each band the hashes of all documents, in order of preference, shape (documents,); one at a time.
        count: documents.
        load: the shingles of document i.
        threshold: Jaccard similarity from which a document is dropped.

    Raises:
        OSError: the temporary file cannot be written.
    """
    repeats = Repeats(np.full(count, -1, np.int64), np.zeros(count, np.float32))
    with tempfile.TemporaryFile() as file:
        room = _spill_buckets(bands, count, file)
        kept, filled = np.zeros(len(room), np.uint32), np.zeros(len(room), np.uint8)
        for document, buckets in _in_buckets(file, count):
            ends = (buckets + filled[buckets]).tolist()
            slots = [kept[begin:end] for begin, end in zip(buckets.tolist(), ends, strict=True)]
            candidates = np.unique(np.concatenate(slots))
            own = load(document) if len(candidates) else None
            for other in candidates.tolist():
                if own is not None and (found := similarity(own, load(other))) >= threshold:
                    repeats.of[document], repeats.similarity[document] = other, found
                    break
            else:
                free = buckets[filled[buckets] < room[buckets]]
                kept[free + filled[free]] = document
                filled[free] += 1
    return repeats


def _spill_buckets(bands: Iterable[Hashes], count: int, file: IO[bytes]) -> NDArray[np.uint8]:
    """Write for each band the bucket of each document, -1 where it is alone in it.

    A bucket is named by the first of its slots for kept documents. Few have more than one, and none has many, which
    bounds the work on text that thousands share. The last document of a bucket needs none: nobody looks after it.

    Returns:
        At the first slot of each bucket how many it has, shape (slots,).
    """
    rooms = [np.zeros(0, np.uint8)]
    slots = 0
    for column in bands:
        order = np.argsort(column, kind="stable")
        ordered = column[order]
        starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1]))) if count else order
        sizes = np.diff(np.append(starts, count))
        shared = sizes > 1
        capacities = np.minimum(sizes[shared] - 1, _REPRESENTATIVES)
        firsts = np.cumsum(capacities) - capacities
        buckets = np.full(count, -1, np.int64)
        buckets[order[np.repeat(shared, sizes)]] = np.repeat(slots + firsts, sizes[shared])
        file.write(buckets.data)
        room = np.zeros(int(capacities.sum()), np.uint8)
        room[firsts] = capacities
        rooms.append(room)
        slots += len(room)
    return np.concatenate(rooms)


def _in_buckets(file: IO[bytes], count: int) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Each document that shares a bucket, in order, with all its shared buckets."""
    bands = file.seek(0, io.SEEK_END) // (8 * count) if count else 0
    for begin in range(0, count, _AT_ONCE):
        size = min(_AT_ONCE, count - begin)
        block = np.empty((bands, size), np.int64)
        for band in range(bands):
            file.seek(8 * (band * count + begin))
            block[band] = np.frombuffer(file.read(8 * size), np.int64)
        inside = block >= 0
        for place in np.flatnonzero(inside.any(axis=0)).tolist():
            yield begin + place, block[inside[:, place], place]


def _chunks(data: bytes) -> Iterator[bytes]:
    """Parts of bounded size that overlap by four words, so that no run of five is lost."""
    begin = 0
    while begin < len(data):
        end = begin + _CHUNK
        if end >= len(data):
            yield data[begin:]
            return
        cut = data.rfind(b" ", begin + 1, end)
        if cut < 0:  # a word longer than a chunk
            yield data[begin:end]
            begin = end
            continue
        yield data[begin:cut]
        for _ in range(SHINGLE_WORDS - 1):
            back = data.rfind(b" ", begin + 1, cut)
            cut = back if back > begin else cut
        begin = cut + 1


def _chunk_shingles(data: bytes) -> Hashes:
    """Polynomial hash of every five-word substring, by differences of prefix sums modulo 2^64."""
    values = np.frombuffer(data, np.uint8)
    powers, inverses = _powers()
    prefix = np.zeros(len(values) + 1, np.uint64)
    np.cumsum((values.astype(np.uint64) + np.uint64(1)) * powers[: len(values)], out=prefix[1:])
    blanks = np.flatnonzero(values == ord(" "))
    starts = np.concatenate(([0], blanks + 1))
    ends = np.concatenate((blanks, [len(values)]))
    if len(starts) > SHINGLE_WORDS:
        starts, ends = starts[: 1 - SHINGLE_WORDS], ends[SHINGLE_WORDS - 1 :]
    else:
        starts, ends = starts[:1], ends[-1:]
    return _mix((prefix[ends] - prefix[starts]) * inverses[starts])


@cache
def _powers() -> tuple[Hashes, Hashes]:
    """Powers of the base and of its inverse, for one chunk."""
    size = _CHUNK + 1
    result = []
    for base in (_PRIME, pow(_PRIME, -1, 2**64)):
        factors = np.full(size, base, np.uint64)
        factors[0] = 1
        result.append(np.cumprod(factors))
    return result[0], result[1]


@cache
def _permutations(count: int) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Odd factors and offsets of the multiply-add hashes."""
    drawn = _mix(np.arange(1, count + 1, dtype=np.uint64) * np.uint64(_PRIME))
    return (drawn >> np.uint64(32)).astype(np.uint32) | np.uint32(1), drawn.astype(np.uint32)


def _mix(x: Hashes) -> Hashes:
    """The finaliser of splitmix64: every bit of the input moves every bit of the output."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
