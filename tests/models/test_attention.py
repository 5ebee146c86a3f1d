"""Tree attention is attention under the caller's mask, with grouped heads and without."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from spice.models.attention import tree_attention, tree_mask  # noqa: E402

pytestmark = pytest.mark.torch


@pytest.mark.parametrize(("heads", "key_heads"), [(4, 4), (4, 2), (6, 1)])
@pytest.mark.parametrize("mask_rows", [1, 3])
@pytest.mark.parametrize("scaling", [None, 0.3])
def test_it_is_softmax_over_the_keys_that_a_query_sees(heads, key_heads, mask_rows, scaling):
    torch.manual_seed(0)
    rows, queries, keys, size = 3, 5, 7, 8
    query = torch.randn(rows, heads, queries, size)
    key, value = torch.randn(2, rows, key_heads, keys, size)
    mask = torch.rand(mask_rows, 1, queries, keys) < 0.5
    mask[..., 0] = True
    out, weights = tree_attention(torch.nn.Identity(), query, key, value, mask, scaling)
    assert weights is None
    every_key, every_value = (t.repeat_interleave(heads // key_heads, 1) for t in (key, value))
    scores = query @ every_key.transpose(-1, -2) * (scaling or size**-0.5)
    wanted = scores.masked_fill(~mask, float("-inf")).softmax(-1) @ every_value
    torch.testing.assert_close(out, wanted.transpose(1, 2))


def test_a_mask_is_required():
    with pytest.raises(ValueError, match="explicit mask"):
        tree_attention(torch.nn.Identity(), *torch.randn(3, 1, 2, 4, 8), None)


@pytest.mark.parametrize(("queries", "past"), [(257, 0), (700, 30), (1024, 0)])
def test_a_long_tree_in_blocks_is_the_same_attention_with_the_same_gradients(queries, past):
    torch.manual_seed(0)
    query = torch.randn(1, 4, queries, 8, requires_grad=True)
    key, value = (torch.randn(1, 2, past + queries, 8, requires_grad=True) for _ in range(2))
    steps = torch.arange(past + queries)
    # A stem that all see, and branches of 90 tokens that do not see each other.
    branch = (steps - past - 40).clamp(min=-1).div(90, rounding_mode="floor")
    mask = (steps[past:, None] >= steps) & ((branch[past:, None] == branch) | (branch < 0))
    mask = mask[None, None]
    out, _ = tree_attention(torch.nn.Identity(), query, key, value, mask)
    gradients = torch.autograd.grad(out.square().sum(), (query, key, value))
    every_key, every_value = (t.repeat_interleave(2, 1) for t in (key, value))
    scores = (query @ every_key.transpose(-1, -2) * 8**-0.5).masked_fill(~mask, float("-inf"))
    wanted = (scores.softmax(-1) @ every_value).transpose(1, 2)
    torch.testing.assert_close(out, wanted)
    for found, plain in zip(gradients, torch.autograd.grad(wanted.square().sum(), (query, key, value)), strict=True):
        torch.testing.assert_close(found, plain, atol=1e-4, rtol=1e-4)


def test_the_sparse_mask_gives_the_attention_of_the_dense_one():
    # Two tokens that all see, then branches of 3 and 4 tokens that do not see each other, then one alone.
    ends = torch.tensor([9, 9, 5, 5, 5, 9, 9, 9, 9, 10])
    torch.manual_seed(0)
    query, key, value = torch.randn(1, 4, 10, 16), torch.randn(1, 2, 10, 16), torch.randn(1, 2, 10, 16)
    dense, sparse = tree_mask(ends, sparse=False), tree_mask(ends, sparse=True)
    assert dense[0, 0, 6].nonzero()[:, 0].tolist() == [0, 1, 5, 6]
    wanted, _ = tree_attention(torch.nn.Identity(), query, key, value, dense)
    found, _ = tree_attention(torch.nn.Identity(), query, key, value, sparse)
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)
