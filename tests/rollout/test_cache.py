"""The cache holds what was put into it, in order, whatever its buffers do."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from spice.rollout.cache import TreeCache  # noqa: E402

pytestmark = pytest.mark.torch


def entries(rows, new, seed):
    return torch.randn(2, rows, 2, new, 3, generator=torch.Generator().manual_seed(seed))


@given(st.lists(st.integers(1, 9), min_size=1, max_size=8), st.lists(st.integers(0, 3), min_size=1, max_size=4))
@settings(max_examples=50, deadline=None)
def test_updates_add_up_and_gather_keeps_rows_and_entries(sizes, rows):
    cache = TreeCache(1)
    written = [entries(4, size, seed) for seed, size in enumerate(sizes)]
    for keys, values in written:
        seen = cache.update(keys, values, 0)
    torch.testing.assert_close(torch.stack(seen), torch.cat(written, 3))
    assert cache.get_seq_length() == sum(sizes)

    kept = torch.arange(0, sum(sizes), 2)
    cache.gather(torch.tensor(rows), kept.expand(len(rows), -1))
    more = entries(len(rows), 2, 99)
    seen = cache.update(*more, 0)
    torch.testing.assert_close(torch.stack(seen), torch.cat([torch.cat(written, 3)[:, rows][:, :, :, kept], more], 3))


def test_expanded_copies_leave_the_original_alone():
    cache = TreeCache(1)
    first = entries(1, 3, 0)
    cache.update(*first, 0)
    copy = cache.expanded(2)
    seen = copy.update(*entries(2, 1, 1), 0)
    torch.testing.assert_close(torch.stack(seen)[:, :, :, :3], first.expand(-1, 2, -1, -1, -1))
    copy.layers[0].keys.zero_()
    later = entries(1, 1, 2)
    torch.testing.assert_close(torch.stack(cache.update(*later, 0)), torch.cat([first, later], 3))
