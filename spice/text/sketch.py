"""Length and hashed character trigrams of a text: enough to compare distributions, without the text.

A sketch is not anonymous: whoever has a text can tell whether a sketch is its own. It keeps text out of records that
only serve to notice change, and no more.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

BUCKETS = 256

_BITS = 8
# Odd 64-bit constants; multiplication by them and the top bits of the sum spread trigrams evenly over the buckets.
_FACTORS = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9], dtype=np.uint64)
_MIX = np.uint64(0xD6E8FEB86659FD93)


class Sketch(BaseModel):
    """What is kept of one text."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    characters: int = Field(ge=0, description="length of the text")
    trigrams: dict[Annotated[int, Field(ge=0, lt=BUCKETS)], Annotated[int, Field(ge=1)]] = Field(
        description="how many character trigrams fell into each bucket; empty buckets are left out"
    )

    def histogram(self) -> NDArray[np.int64]:
        """Counts per bucket, shape [BUCKETS]."""
        counts = np.zeros(BUCKETS, dtype=np.int64)
        counts[list(self.trigrams)] = list(self.trigrams.values())
        return counts


def sketch(text: str) -> Sketch:
    """Sketch a text; letter case and the amount of white space do not matter to its trigrams."""
    counts = _histogram(" ".join(text.casefold().split()))
    return Sketch(characters=len(text), trigrams={int(b): int(counts[b]) for b in np.flatnonzero(counts)})


def _histogram(text: str) -> NDArray[np.int64]:
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.uint64)
    if len(codes) < 3:
        return np.zeros(BUCKETS, dtype=np.int64)
    mixed = codes[:-2] * _FACTORS[0] + codes[1:-1] * _FACTORS[1] + codes[2:] * _FACTORS[2]
    mixed ^= mixed >> np.uint64(32)
    buckets = (mixed * _MIX) >> np.uint64(64 - _BITS)
    return np.bincount(buckets.astype(np.int64), minlength=BUCKETS)
