"""What the contract cannot say of vLLM: that prompts are computed once, and what it refuses."""

from __future__ import annotations

import importlib.util

import pytest

from spice.config import ModelConfig, RolloutConfig
from spice.errors import ConfigError
from spice.rollout.base import Request

pytest.importorskip("torch")

from spice.models.loading import load_tokenizer
from spice.rollout.open import open_engine

CPU = ModelConfig(dtype="float32", device="cpu")


@pytest.fixture(scope="module")
def engine(policy_folder):
    return open_engine(policy_folder, CPU, RolloutConfig(engine="vllm", max_length=400, cache_bytes=2**26))


def prompts(folder, n):
    tokenizer = load_tokenizer(folder)
    instructions = "Read the text and write a question about a fact in it. " * 4
    return [
        tuple(tokenizer.encode(f"{instructions} The island number {i} exports oil, gas and coffee. Who?"))
        for i in range(n)
    ]


@pytest.mark.engines
def test_each_prompt_is_computed_once_for_all_its_copies(engine, policy_folder):
    """All but the last, incomplete block of a prompt is found by every copy; measured, as vLLM counts it."""
    before, n, block = engine.stats(), 8, 32
    asked = prompts(policy_folder, 4)
    engine.generate([Request(p, n=n, max_tokens=3, temperature=1.0, seed=i) for i, p in enumerate(asked)])
    done = engine.stats() - before
    assert done.prompt_tokens == n * sum(map(len, asked))
    assert done.generated_tokens <= 4 * n * 3
    whole = [(len(p) - 1) // block * block for p in asked]
    assert done.cached_tokens >= (n - 1) * sum(whole)
    # What all prompts begin with is found by the first copy of all but one.
    common = next(i for i, tokens in enumerate(zip(*asked, strict=False)) if len(set(tokens)) > 1)
    assert common >= block
    assert done.cached_tokens >= (n - 1) * sum(whole) + 3 * (common // block * block)
    assert done.seconds > 0


@pytest.mark.engines
@pytest.mark.parametrize("shape", [(1, 64), (7, 256), (5, 3, 64)])
def test_the_norms_of_its_library_are_those_of_torch(shape):
    import torch
    from vllm import ir

    from spice.rollout.vllm_norms import PROVIDER

    torch.manual_seed(0)
    x, weight = torch.randn(*shape[:-1], 2 * shape[-1])[..., : shape[-1]], torch.rand(shape[-1])
    native, own = (ir.ops.rms_norm.impls[name].impl_fn for name in ("native", PROVIDER))
    torch.testing.assert_close(own(x, weight, 1e-6), native(x, weight, 1e-6), atol=1e-6, rtol=1e-6)
    residual = torch.randn(shape)
    native, own = (ir.ops.fused_add_rms_norm.impls[name].impl_fn for name in ("native", PROVIDER))
    wanted = native(x.clone(), residual.clone(), weight, 1e-6)
    torch.testing.assert_close(own(x.clone(), residual, weight, 1e-6), wanted, atol=1e-6, rtol=1e-6)


@pytest.mark.engines
def test_dropped_copies_leave_nothing_behind(engine, policy_folder):
    stream, (first, second) = engine.stream(), prompts(policy_folder, 2)
    stream.add("a", Request(first, n=4, max_tokens=20, temperature=1.0, seed=1))
    stream.add("b", Request(second, n=2, max_tokens=20, temperature=1.0, seed=2))
    stream.step()
    stream.drop("a", 1)
    assert len(stream) == 3
    finished = []
    while len(stream):
        finished += stream.step()
    assert sorted((one.key, one.copy) for one in finished) == [("a", 0), ("b", 0), ("b", 1)]
    assert not engine._draw.samples and not engine._engine.has_unfinished_requests()


@pytest.mark.engines
def test_what_does_not_fit_is_refused_before_anything_runs(engine):
    with pytest.raises(ConfigError, match=r"rollout\.max_length"):
        engine.generate([Request(tuple(range(5, 100)), max_tokens=8), Request((5,) * 399, max_tokens=2)])
    assert not engine._engine.has_unfinished_requests()


@pytest.mark.skipif(importlib.util.find_spec("vllm") is not None, reason="vLLM is installed")
def test_without_vllm_the_message_says_what_to_install(policy_folder):
    with pytest.raises(ConfigError, match="extra vllm"):
        open_engine(policy_folder, CPU, RolloutConfig(engine="vllm"))
