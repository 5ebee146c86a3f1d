from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")

import torch
from transformers import AutoModelForCausalLM

from spice.models.loading import load_model
from spice.models.scoring import log_likelihoods

pytestmark = pytest.mark.torch

PAIRS = [((5, 6, 7), (8, 9)), ((5,), (6,)), ((9, 8, 7, 6, 5, 4), (3, 2, 1))]


def test_batches_give_what_each_pair_gives_alone(tiny_folder: Path) -> None:
    model = load_model(tiny_folder, "float32", "cpu")
    together = log_likelihoods(model, PAIRS)
    alone = [log_likelihoods(model, [pair])[0] for pair in PAIRS]
    small = log_likelihoods(model, PAIRS, batch_tokens=1)
    for (total, greedy), (one, other), (third, _) in zip(together, alone, small):
        assert total == pytest.approx(one, abs=1e-4)
        assert total == pytest.approx(third, abs=1e-4)
        assert greedy is other
        assert total < 0


def test_what_greedy_decoding_gives_is_greedy(tiny_folder: Path) -> None:
    model = load_model(tiny_folder, "float32", "cpu")
    plain = AutoModelForCausalLM.from_pretrained(tiny_folder, dtype=torch.float32)
    with torch.inference_mode():
        best = int(plain(torch.tensor([[5, 6, 7]])).logits[0, -1].argmax())
    (likely, greedy), (less, not_greedy) = log_likelihoods(model, [((5, 6, 7), (best,)), ((5, 6, 7), (best ^ 1,))])
    assert (greedy, not_greedy) == (True, False)
    assert likely > less
