"""Memory and time of comparing very many documents, without their texts.

    python bench/corpus_memory.py --documents 1000000

Three documents in ten are in a pair that shares all bands; all others share none. The peak is that of this process,
with the interpreter and its libraries, which are named as well.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from spice.corpus.near_duplicates import bands_for, near_duplicates

IN_PAIRS = 0.3
THRESHOLD = 0.7


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--documents", type=int, default=1_000_000)
    count = parser.parse_args().documents
    rng = np.random.default_rng(1)
    pairs = int(count * IN_PAIRS) // 2
    drawn = rng.permutation(count)[: 2 * pairs]
    twins = np.arange(count, dtype=np.uint64)
    twins[drawn[:pairs]] = drawn[pairs:]
    before, begun = peak_mb(), time.process_time()

    def shingles(document: int) -> NDArray[np.uint64]:
        return np.arange(10, dtype=np.uint64) + twins[document] * np.uint64(10)

    found = near_duplicates(hashes(twins), count, shingles, THRESHOLD)
    seconds = time.process_time() - begun
    dropped = int((found.of >= 0).sum())
    print(f"{count} documents, {dropped} dropped: {seconds:.1f} s, {peak_mb():.0f} MB at most, {before:.0f} MB before")


def hashes(twins: NDArray[np.uint64]) -> Iterator[NDArray[np.uint64]]:
    """For each band one hash per document, equal only for those of a pair."""
    for band in range(bands_for(THRESHOLD)[0]):
        mixed = (twins * np.uint64(64) + np.uint64(band)) * np.uint64(0x9E3779B97F4A7C15)
        yield mixed ^ (mixed >> np.uint64(29))


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
