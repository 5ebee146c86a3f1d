"""The embedded engine: batched decoding with transformers, where copies of a prompt cost nothing.

What is different from `model.generate`: all continuations of one prompt, of
whatever requests, are decoded as one row under a tree mask, so the prompt's
keys and values exist once; what all prompts of a batch begin with (instructions, worked examples)
is computed once for as long as the weights stay the same; finished
continuations leave the batch at once, and others join it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from spice.rollout.base import Completion, EngineStats, Request, complete
from spice.rollout.grammar import GrammarCompiler
from spice.rollout.tree_model import TreeModel
from spice.rollout.tree_stream import TreeStream, Work


class TransformersEngine:
    """Generates with a transformers causal language model on the device that the model is on."""

    def __init__(
        self, model: Any, tokenizer: Any, batch_tokens: int, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        """Take a model loaded by `spice.models.loading` and its tokenizer.

        Args:
            model: the causal language model; its weights are ours from here on.
            tokenizer: its tokenizer.
            batch_tokens: most tokens, prompts and room for answers, in flight at once.
            clock: seconds.
        """
        self._model = model
        self._tokenizer = tokenizer
        self._batch_tokens = batch_tokens
        self._tree = TreeModel(model)
        self._work = Work()
        self._clock = clock
        self._grammars = GrammarCompiler(tokenizer, self._tree.vocabulary)

    def generate(self, requests: Sequence[Request]) -> list[list[Completion]]:
        """Continue every request; see `spice.rollout.base.Engine`."""
        return complete(self.stream(), requests)

    def stream(self) -> TreeStream:
        """A stream with nothing under way; see `spice.rollout.base.Engine`."""
        return TreeStream(self._tree, self._tokenizer, self._grammars, self._batch_tokens, self._work, self._clock)

    def update_weights(self, state: Mapping[str, torch.Tensor]) -> None:
        """Copy the learner's weights in, and forget what was cached."""
        self._tree.forget()
        own = self._model.state_dict()
        with torch.no_grad():
            for name, tensor in state.items():
                own[name].copy_(tensor)

    def rest(self) -> None:
        """Drop what was computed once for many prompts; see `spice.rollout.base.Engine`."""
        self._tree.forget()

    def stats(self) -> EngineStats:
        """What the engine has done so far; see `spice.rollout.base.Engine`."""
        work = self._work
        return EngineStats(work.seconds, work.generated, work.prompts, work.prompts - work.computed)

    def close(self) -> None:
        """Let go of cached keys and values; the weights go with the engine."""
        self._tree.forget()
