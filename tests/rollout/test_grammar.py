"""Packed bits are little end first, and the last word may be a part of one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("llguidance")

from spice.rollout.grammar import unpack


@given(st.integers(1, 200), st.data())
@settings(deadline=None)
def test_unpack_is_the_inverse_of_packing(vocabulary, data):
    allowed = data.draw(st.lists(st.sets(st.integers(0, vocabulary - 1)), min_size=1, max_size=4))
    bits = np.zeros((len(allowed), -(-vocabulary // 32)), dtype=np.uint32)
    for row, ids in enumerate(allowed):
        for token in ids:
            bits[row, token // 32] |= np.uint32(1 << token % 32)
    unpacked = unpack(bits, vocabulary)
    assert unpacked.shape == (len(allowed), vocabulary)
    assert [set(np.flatnonzero(row).tolist()) for row in unpacked] == allowed
