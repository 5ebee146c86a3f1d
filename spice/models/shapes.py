"""The shapes of models: enough to tell their sizes without loading them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from spice.errors import ModelError


@dataclass(frozen=True)
class Shape:
    """A decoder of the Llama family: RMS norms, gated MLP, grouped query attention.

    Attributes:
        hidden: width of the residual stream.
        layers: how many.
        heads: query heads.
        key_heads: key and value heads.
        head_size: width of a head.
        inner: width of the MLP.
        vocabulary: rows of the embedding.
        tied: whether the output embedding is the input embedding.
        head_norms: whether queries and keys of a head are normalised, as in Qwen3.
    """

    hidden: int
    layers: int
    heads: int
    key_heads: int
    head_size: int
    inner: int
    vocabulary: int
    tied: bool
    head_norms: bool = False

    @property
    def matrices(self) -> tuple[tuple[int, int], ...]:
        """(in, out) of the matrices of one layer: query, key, value, output; gate, up, down."""
        query, key = self.heads * self.head_size, self.key_heads * self.head_size
        h, m = self.hidden, self.inner
        return (h, query), (h, key), (h, key), (query, h), (h, m), (h, m), (m, h)

    @property
    def parameters(self) -> int:
        """All weights, a tied embedding once."""
        norms = 2 * self.hidden + (2 * self.head_size if self.head_norms else 0)
        inside = sum(a * b for a, b in self.matrices) + norms
        embeddings = self.vocabulary * self.hidden * (1 if self.tied else 2)
        return self.layers * inside + embeddings + self.hidden

    def adapters(self, rank: int) -> int:
        """Weights of low-rank adapters on all matrices inside the layers."""
        return self.layers * sum(rank * (a + b) for a, b in self.matrices)

    @property
    def cache_bytes(self) -> int:
        """Keys and values of one token in bfloat16, in bytes."""
        return 2 * self.layers * self.key_heads * self.head_size * 2


# From the config.json of each repository on the hub. The OctoThinker models go on from Llama-3.2-3B and Llama-3.1-8B.
KNOWN = {
    "Qwen/Qwen3-0.6B-Base": Shape(1024, 28, 16, 8, 128, 3072, 151936, tied=True, head_norms=True),
    "Qwen/Qwen3-1.7B-Base": Shape(2048, 28, 16, 8, 128, 6144, 151936, tied=True, head_norms=True),
    "Qwen/Qwen3-4B-Base": Shape(2560, 36, 32, 8, 128, 9728, 151936, tied=True, head_norms=True),
    "Qwen/Qwen3-8B-Base": Shape(4096, 36, 32, 8, 128, 12288, 151936, tied=False, head_norms=True),
    "OctoThinker/OctoThinker-3B-Hybrid-Base": Shape(3072, 28, 24, 8, 128, 8192, 128256, tied=True),
    "OctoThinker/OctoThinker-8B-Hybrid-Base": Shape(4096, 32, 32, 8, 128, 14336, 128256, tied=False),
    "smollm2-135m-instruct": Shape(576, 30, 9, 3, 64, 1536, 49152, tied=True),
}


def of_folder(folder: Path) -> Shape:
    """The shape of the model in a folder, from its `config.json`. Raises `ModelError` if it is of another family."""
    try:
        found = _Config.model_validate(json.loads((folder / "config.json").read_text()))
    except (OSError, ValueError, ValidationError) as error:
        raise ModelError(f"{folder}/config.json does not describe a decoder of the Llama family: {error}") from error
    return Shape(
        found.hidden_size,
        found.num_hidden_layers,
        found.num_attention_heads,
        found.num_key_value_heads,
        found.head_dim or found.hidden_size // found.num_attention_heads,
        found.intermediate_size,
        found.vocab_size,
        tied=found.tie_word_embeddings,
        head_norms=found.model_type.startswith("qwen3"),
    )


class _Config(BaseModel):
    model_config = ConfigDict(extra="ignore")

    model_type: str
    hidden_size: int = Field(ge=1)
    num_hidden_layers: int = Field(ge=1)
    num_attention_heads: int = Field(ge=1)
    num_key_value_heads: int = Field(ge=1)
    head_dim: int | None = None
    intermediate_size: int = Field(ge=1)
    vocab_size: int = Field(ge=1)
    tie_word_embeddings: bool = True
