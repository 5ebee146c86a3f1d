"""Log-probabilities in pieces: the numbers and gradients of one, without the matrix of all tokens by all words."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

from spice.learner.loss import token_logprobs  # noqa: E402

TOKENS, HIDDEN, VOCABULARY = 2100, 8, 512


class Largest(TorchDispatchMode):
    """Watches the largest tensor that any operation makes, in elements."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        for tensor in torch.utils._pytree.tree_leaves(made):
            if isinstance(tensor, torch.Tensor):
                self.elements = max(self.elements, tensor.numel())
        return made


def parts():
    torch.manual_seed(0)
    hidden = torch.randn(TOKENS, HIDDEN, requires_grad=True)
    head = torch.nn.Linear(HIDDEN, VOCABULARY, bias=False)
    targets = torch.randint(0, VOCABULARY, (TOKENS,))
    temperatures = torch.rand(TOKENS) + 0.5
    bits = torch.randint(-(2**31), 2**31 - 1, (TOKENS, VOCABULARY // 32), dtype=torch.int32)
    # What was drawn was allowed.
    word, bit = targets // 32, targets % 32
    drawn = torch.bitwise_left_shift(torch.ones_like(targets), bit).to(torch.int32)
    bits[torch.arange(TOKENS), word] |= drawn
    return hidden, head, targets, temperatures, bits


@pytest.mark.parametrize("ruled", [False, True])
def test_pieces_give_the_numbers_and_gradients_of_one_matrix(ruled):
    hidden, head, targets, temperatures, bits = parts()
    allowed = bits if ruled else None
    found = token_logprobs(hidden, head, targets, temperatures, allowed)
    weights = torch.randn(TOKENS)
    gradients = torch.autograd.grad((found * weights).sum(), [hidden, head.weight])
    logits = head(hidden) / temperatures[:, None]
    if ruled:
        shifts = torch.arange(32, dtype=torch.int32)
        logits = logits.masked_fill(~((bits[:, :, None] >> shifts) & 1).flatten(1).bool(), float("-inf"))
    plain = logits.log_softmax(-1).gather(-1, targets[:, None])[:, 0]
    wanted = torch.autograd.grad((plain * weights).sum(), [hidden, head.weight])
    torch.testing.assert_close(found, plain, atol=1e-5, rtol=1e-5)
    for ours, theirs in zip(gradients, wanted):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


def test_without_temperatures_it_is_the_log_softmax_of_the_logits_as_they_are():
    hidden, head, targets, temperatures, bits = parts()
    found = [
        [logprobs, *torch.autograd.grad(logprobs.square().sum(), [hidden, head.weight])]
        for heat in (None, torch.ones_like(temperatures))
        for logprobs in [token_logprobs(hidden, head, targets, heat, bits)]
    ]
    assert all(plain.equal(heated) for plain, heated in zip(*found))


@pytest.mark.parametrize("ruled", [False, True])
def test_logits_that_are_kept_and_logits_that_are_made_again_give_the_same_bytes(ruled):
    found = []
    for keep in (0, TOKENS * VOCABULARY):
        hidden, head, targets, temperatures, bits = parts()
        logprobs = token_logprobs(hidden, head, targets, temperatures, bits if ruled else None, keep)
        found.append([logprobs, *torch.autograd.grad((logprobs * logprobs).sum(), [hidden, head.weight])])
    assert all(kept.equal(again) for kept, again in zip(*found))


def test_no_tensor_is_as_large_as_the_matrix_and_none_is_kept_for_the_backward_pass():
    hidden, head, targets, temperatures, _ = parts()
    kept = []

    def keep(tensor):
        kept.append(tensor.numel())
        return tensor

    with Largest() as seen:
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            loss = token_logprobs(hidden, head, targets, temperatures, None, keep=0).sum()
        loss.backward()
    assert seen.elements <= 512 * VOCABULARY < TOKENS * VOCABULARY / 4
    assert max(kept) <= max(TOKENS * HIDDEN, HIDDEN * VOCABULARY)
