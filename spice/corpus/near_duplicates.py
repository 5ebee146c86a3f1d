"""Near duplicates: MinHash over word 5-grams finds candidates, the true Jaccard similarity decides.

A document is dropped if an earlier *kept* document is similar enough, so chains
of ever less similar documents do not collapse into their first member.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import cache

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]

SHINGLE_WORDS = 5
_HASHES = 128
_RECALL = 0.995
_CHUNK = 1 << 20
_PRIME = 0x9E3779B97F4A7C15  # odd, so it has an inverse modulo 2^64
_REPRESENTATIVES = 64


def shingles(words: str) -> Hashes:
    """Sorted unique hashes of all runs of five words; of the whole text if it has fewer.

    Args:
        words: words with one blank between them, as `clean.fingerprint_text` gives.
    """
    hashes = [_chunk_shingles(chunk) for chunk in _chunks(words.encode("utf-8", "replace"))]
    return np.unique(np.concatenate(hashes)) if hashes else np.zeros(0, np.uint64)


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


def band_hashes(shingle_hashes: Hashes, bands: int, rows: int) -> Hashes:
    """One hash per band, shape (bands,): documents that share one are candidates."""
    least = np.full(bands * rows, np.iinfo(np.uint64).max, np.uint64)
    salts = _salts(bands * rows)
    for begin in range(0, len(shingle_hashes), 4096):
        mixed = _mix(shingle_hashes[begin : begin + 4096, None] ^ salts[None, :])
        np.minimum(least, mixed.min(axis=0), out=least)
    result = np.zeros(bands, np.uint64)
    for column in least.reshape(bands, rows).T:
        result = _mix(result * np.uint64(_PRIME) ^ column)
    return result


def near_duplicates(bands: Hashes, load: Callable[[int], Hashes], threshold: float) -> dict[int, int]:
    """Map each document to drop to the earlier document that it repeats.

    Args:
        bands: shape (documents, bands), in order of preference.
        load: the shingles of document i.
        threshold: Jaccard similarity from which a document is dropped.
    """
    buckets = _shared_buckets(bands)
    kept_in: dict[tuple[int, int], list[int]] = defaultdict(list)
    duplicate_of: dict[int, int] = {}
    for document in sorted(buckets):
        keys = buckets[document]
        candidates = sorted({other for key in keys for other in kept_in[key]})
        own = load(document) if candidates else None
        for other in candidates:
            if own is not None and similarity(own, load(other)) >= threshold:
                duplicate_of[document] = other
                break
        else:
            for key in keys:
                if len(kept_in[key]) < _REPRESENTATIVES:  # bounds the work on boilerplate that thousands share
                    kept_in[key].append(document)
    return duplicate_of


def _shared_buckets(bands: Hashes) -> dict[int, list[tuple[int, int]]]:
    """For every document, the (band, bucket) pairs that it shares with another; sorting keeps this small in memory."""
    shared: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for band in range(bands.shape[1]):
        _, bucket, counts = np.unique(bands[:, band], return_inverse=True, return_counts=True)
        for document in np.flatnonzero(counts[bucket] > 1):
            shared[int(document)].append((band, int(bucket[document])))
    return shared


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
def _salts(count: int) -> Hashes:
    return _mix(np.arange(1, count + 1, dtype=np.uint64) * np.uint64(_PRIME))


def _mix(x: Hashes) -> Hashes:
    """The finaliser of splitmix64: every bit of the input moves every bit of the output."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
