"""Drawing tokens: exact probabilities, and never a token that a grammar forbids."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from spice.rollout.sampling import draw, entropy, log_probabilities  # noqa: E402

pytestmark = pytest.mark.torch
LARGEST = float(np.nextafter(1.0, 0.0))  # of the float64 numbers in [0, 1); it is 1 as a float32


@given(
    logits=st.lists(st.floats(-20, 20), min_size=2, max_size=40),
    temperature=st.sampled_from([0.0, 0.5, 1.0, 2.0]),
    uniform=st.sampled_from([0.0, 1e-12, 0.5, LARGEST]) | st.floats(0, 1, exclude_max=True),
    data=st.data(),
)
@settings(max_examples=200, deadline=None)
def test_only_allowed_tokens_are_drawn(logits, temperature, uniform, data):
    n = len(logits)
    allowed = data.draw(st.lists(st.booleans(), min_size=n, max_size=n).filter(any))
    temperatures = torch.tensor([temperature])
    logprobs = log_probabilities(torch.tensor([logits]), temperatures, torch.tensor([allowed]))
    token = int(draw(logprobs, temperatures, torch.tensor([uniform], dtype=torch.float64)))
    assert allowed[token]
    assert logprobs[0, token] > -math.inf


@pytest.mark.parametrize(
    ("uniform", "token"), [(0.0, 0), (0.0999, 0), (0.1001, 2), (0.3999, 2), (0.4001, 3), (LARGEST, 3)]
)
def test_a_uniform_number_picks_the_token_whose_share_it_falls_into(uniform, token):
    logprobs = torch.tensor([[0.1, 0.0, 0.3, 0.6, 0.0]]).log()
    assert draw(logprobs, torch.ones(1), torch.tensor([uniform], dtype=torch.float64)).tolist() == [token]


def test_each_row_has_its_own_temperature():
    logits = torch.tensor([[0.0, 1.0, 2.0]] * 3)
    temperatures = torch.tensor([0.0, 1.0, 0.5])
    logprobs = log_probabilities(logits, temperatures, None)
    torch.testing.assert_close(logprobs, torch.log_softmax(torch.tensor([[0, 1, 2], [0, 1, 2], [0, 2, 4.0]]), -1))
    assert draw(logprobs, temperatures, torch.zeros(3)).tolist() == [2, 0, 0]


def test_low_precision_logits_are_normalised_in_float32():
    logprobs = log_probabilities(torch.randn(4, 1000).bfloat16(), torch.ones(4), None)
    assert logprobs.dtype == torch.float32
    torch.testing.assert_close(logprobs.exp().sum(-1), torch.ones(4))


def test_entropy_in_nats():
    shares = torch.tensor([[0.25] * 4, [0.5, 0.5, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]])
    torch.testing.assert_close(entropy(shares.log()), torch.tensor([math.log(4), math.log(2), 0.0]))
