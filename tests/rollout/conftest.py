"""A model whose every token depends on all before it, plain references to it, and the engines under test."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spice.rollout.base import Completion, Engine

torch = pytest.importorskip("torch")

from spice.models.loading import load_model, load_tokenizer  # noqa: E402
from spice.rollout.transformers_engine import TransformersEngine  # noqa: E402

LARGEST_BATCH = 65_536


@dataclass(frozen=True)
class Reference:
    """The model as transformers runs it by itself: no packing, no shared cache, one sequence at a time."""

    model: Any
    tokenizer: Any

    def encode(self, text: str) -> tuple[int, ...]:
        return tuple(self.tokenizer.encode(text, add_special_tokens=False))

    def greedy(self, prompt: tuple[int, ...], max_tokens: int) -> tuple[int, ...]:
        """What `model.generate` writes."""
        ids = torch.tensor([prompt])
        with torch.inference_mode():
            out = self.model.generate(
                ids, attention_mask=torch.ones_like(ids), max_new_tokens=max_tokens, do_sample=False
            )
        return tuple(out[0, len(prompt) :].tolist())

    def distributions(self, prompt: tuple[int, ...], completion: Completion, temperature: float) -> Any:
        """Log-probabilities that each token was drawn from, float64, shape [tokens, vocabulary]."""
        with torch.inference_mode():
            logits = self.model(torch.tensor([prompt + completion.tokens])).logits[0, len(prompt) - 1 : -1]
        logits = logits.double() / (temperature or 1.0)
        if completion.allowed is not None:
            logits = logits.masked_fill(~torch.from_numpy(unpack_bits(completion, logits.shape[1])), float("-inf"))
        return logits.log_softmax(-1)

    def state(self) -> Mapping[str, Any]:
        """The weights, as a learner gives them."""
        return dict(self.model.named_parameters())


def unpack_bits(completion: Completion, vocabulary: int) -> np.ndarray:
    """The bits of `completion.allowed` one by one, as `Completion` describes them: boolean, [tokens, vocabulary]."""
    ids = np.arange(vocabulary)
    return (completion.allowed[:, ids // 32] >> (ids % 32).astype(np.uint32)) & 1 == 1


@pytest.fixture(scope="session")
def unpack() -> Callable[[Completion, int], np.ndarray]:
    return unpack_bits


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def _random_model(tiny_folder: Path, folder: Path, tied: bool, scale: float) -> Path:
    """The tiny model's shape with random weights of the standard deviation `scale`."""
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(tiny_folder, tie_word_embeddings=tied)
    model = AutoModelForCausalLM.from_config(config)
    noise = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.copy_(scale * torch.randn(parameter.shape, generator=noise))
            else:
                parameter.fill_(1.0)
    model.save_pretrained(folder)
    load_tokenizer(tiny_folder).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def policy_folder(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights large enough that each token depends on all before it."""
    return _random_model(tiny_folder, tmp_path_factory.mktemp("policy"), False, 0.2)


@pytest.fixture(scope="session", params=["untied", "tied"])
def calm_folder(request: pytest.FixtureRequest, tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of the size that trained ones have, so that rounding to bfloat16 matters no more than it does there."""
    return _random_model(tiny_folder, tmp_path_factory.mktemp(request.param), request.param == "tied", 0.06)


def _reference(folder: Path) -> Reference:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    return Reference(model.eval(), load_tokenizer(folder))


@pytest.fixture(scope="session")
def reference(policy_folder: Path) -> Reference:
    return _reference(policy_folder)


@pytest.fixture(scope="session")
def updated(policy_folder: Path) -> Reference:
    """The same model some updates later."""
    after = _reference(policy_folder)
    noise = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in after.model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=noise), alpha=0.1)
    return after


def _transformers(folder: Path, dtype: str, batch_tokens: int) -> Engine:
    return TransformersEngine(load_model(folder, dtype), load_tokenizer(folder), batch_tokens)


@cache
def _opened_vllm(folder: Path, dtype: str, sequences: int) -> Engine:
    from spice.config import ModelConfig, RolloutConfig
    from spice.rollout.open import open_engine

    rollout = RolloutConfig(engine="vllm", max_sequences=sequences, cache_bytes=2**26)
    return open_engine(folder, ModelConfig(dtype=dtype, device="cpu"), rollout)


def _vllm(folder: Path, dtype: str, batch_tokens: int) -> Engine:
    """`batch_tokens` becomes a number of sequences. Opening takes seconds, so engines are kept, and put back."""
    engine = _opened_vllm(folder, dtype, max(1, min(256, batch_tokens // 50)))
    engine.update_weights(dict(load_model(folder, dtype).named_parameters()))
    return engine


ENGINES: dict[str, Callable[[Path, str, int], Engine]] = {"transformers": _transformers, "vllm": _vllm}


@pytest.fixture(params=["transformers", pytest.param("vllm", marks=pytest.mark.engines)])
def open_engine(request: pytest.FixtureRequest) -> Callable[..., Engine]:
    """Open an engine: `open_engine(folder, dtype, batch_tokens)`, the latter being how much is in flight at once."""

    def opened(folder: Path, dtype: str = "float32", batch_tokens: int = LARGEST_BATCH) -> Engine:
        return ENGINES[request.param](folder, dtype, batch_tokens)

    return opened


@pytest.fixture
def make_engine(open_engine: Callable[..., Engine], policy_folder: Path) -> Callable[..., Engine]:
    """Make an engine with the policy's weights; `make_engine(batch_tokens)` sets how much is in flight at once."""

    def make(batch_tokens: int = LARGEST_BATCH) -> Engine:
        return open_engine(policy_folder, "float32", batch_tokens)

    return make


@pytest.fixture
def engine(make_engine: Callable[..., Engine]) -> Engine:
    return make_engine()
