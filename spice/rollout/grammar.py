"""Constrained decoding with llguidance: which tokens may come next."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import llguidance
import llguidance.hf
import numpy as np
from numpy.typing import NDArray

from spice.errors import ConfigError
from spice.rollout.base import Grammar


class GrammarCompiler:
    """Compiles grammars for one tokenizer, which is prepared when the first grammar comes."""

    def __init__(self, tokenizer: Any, vocabulary: int) -> None:
        self._plain_tokenizer = tokenizer
        self._vocabulary = vocabulary
        self._words = (vocabulary + 31) // 32

    def matcher(self, grammar: Grammar) -> Any:
        """Return a fresh matcher at the grammar's start.

        Raises:
            ConfigError: the grammar does not compile.
        """
        compile_text = {
            "json_schema": llguidance.LLMatcher.grammar_from_json_schema,
            "regex": llguidance.LLMatcher.grammar_from_regex,
            "lark": llguidance.LLMatcher.grammar_from_lark,
        }[grammar.kind]
        matcher = llguidance.LLMatcher(self._tokenizer, compile_text(grammar.text))
        if matcher.is_error():
            raise ConfigError(f"The {grammar.kind} grammar does not compile: {matcher.get_error()}")
        return matcher

    def allowed(self, matchers: list[Any]) -> NDArray[np.uint32]:
        """Return the allowed next tokens of each matcher as packed bits, shape [matchers, words]."""
        bits = np.zeros((len(matchers), self._words), dtype=np.uint32)
        pairs = [(matcher, index) for index, matcher in enumerate(matchers)]
        self._executor.unsafe_compute_mask_ptr(pairs, bits.ctypes.data, self._words * 4, len(matchers))
        return bits

    @cached_property
    def _tokenizer(self) -> Any:
        return llguidance.hf.from_tokenizer(self._plain_tokenizer, n_vocab=self._vocabulary)

    @cached_property
    def _executor(self) -> Any:
        return llguidance.LLExecutor()


def unpack(bits: NDArray[np.uint32], vocabulary: int) -> NDArray[np.bool_]:
    """Turn packed bits, shape [n, words], into booleans, shape [n, vocabulary]."""
    return np.unpackbits(bits.view(np.uint8), axis=1, bitorder="little")[:, :vocabulary].astype(bool)
