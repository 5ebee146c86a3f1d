"""Draw tokens inside vLLM as our other engine draws them, and keep what a learner asks for.

vLLM's own sampler seeds a generator for each sequence and fills a row of the
vocabulary from it at every step, and its log-probabilities cost as much again.
Here one uniform number a token decides, for all sequences at once; the
log-probability and the entropy come out of the same softmax. It is a logits
processor: vLLM calls it with the logits after its grammars, and its greedy
sampler then takes the one token that was drawn.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from vllm import SamplingParams
from vllm.config import VllmConfig
from vllm.v1.sample.logits_processor import BatchUpdate, LogitsProcessor
from vllm.v1.sample.logits_processor.builtin import process_dict_updates

from spice.rollout.base import Request
from spice.rollout.sampling import sample

SAMPLE = "spice_sample"
"""The extra argument of a request by which its sample is found."""


@dataclass
class Sample:
    """What one continuation is drawn with, and what was drawn.

    Attributes:
        request: what is continued.
        uniforms: one number in [0, 1) for each token to come, shape [max_tokens].
        logprobs: in nats, of the tokens drawn so far.
        entropies: in nats, at each of these steps.
        allowed: packed bits of what a grammar allowed at each step.
    """

    request: Request
    uniforms: NDArray[np.float64]
    logprobs: list[float] = field(default_factory=list)
    entropies: list[float] = field(default_factory=list)
    allowed: list[NDArray[np.uint32]] = field(default_factory=list)

    def note(self, step: int, logprob: float, surprise: float, allowed: NDArray[np.uint32] | None) -> None:
        """Enter what happened at a step, in place of anything from there on: vLLM may draw a token again."""
        self.logprobs[step:] = [logprob]
        self.entropies[step:] = [surprise]
        if allowed is not None:
            self.allowed[step:] = [allowed]


@dataclass(frozen=True)
class _Row:
    sample: Sample
    output: list[int]


class Draw(LogitsProcessor):  # type: ignore[misc]
    """Leaves each row of the logits with the one token that was drawn for it."""

    def __init__(self, vllm_config: VllmConfig, device: torch.device, is_pin_memory: bool) -> None:
        """See vLLM's interface; the samples are entered by the engine."""
        del vllm_config, is_pin_memory
        self.samples: dict[int, Sample] = {}
        self._device = device
        self._rows: dict[int, _Row] = {}

    def is_argmax_invariant(self) -> bool:
        """It decides what the greedy sampler takes."""
        return False

    def update_state(self, batch_update: BatchUpdate | None) -> None:
        """Follow the rows of vLLM's batch."""
        process_dict_updates(self._rows, batch_update, self._row)

    def apply(self, logits: torch.Tensor) -> torch.Tensor:
        """Draw a token for each row of `logits`, float32, shape [batch, vocabulary]."""
        if not self._rows:
            return logits
        places = sorted(self._rows)
        rows = [self._rows[place] for place in places]
        steps = [len(row.output) for row in rows]
        index = torch.tensor(places, device=self._device)
        own = logits if len(places) == len(logits) else logits[index]
        temperatures = [row.sample.request.temperature for row in rows]
        uniforms = [
            float(row.sample.uniforms[min(step, len(row.sample.uniforms) - 1)])
            for row, step in zip(rows, steps, strict=True)
        ]
        drawn = sample(own, temperatures, uniforms)
        ruled = [at for at, row in enumerate(rows) if row.sample.request.grammar]
        allowed = dict(zip(ruled, _packed(own[torch.tensor(ruled, device=self._device)]), strict=True)) if ruled else {}
        for at, (row, step) in enumerate(zip(rows, steps, strict=True)):
            row.sample.note(step, drawn.logprobs[at], drawn.entropies[at], allowed.get(at))
        logits[index, torch.tensor(drawn.tokens, device=self._device)] = float("inf")
        return logits

    def _row(self, params: SamplingParams, _prompt: list[int] | None, output: list[int]) -> _Row | None:
        number = (params.extra_args or {}).get(SAMPLE)
        sample = self.samples.get(number) if number is not None else None
        return _Row(sample, output) if sample else None


def new_samples(request: Request) -> list[Sample]:
    """The samples of a request's copies, each with its own random numbers."""
    uniforms = np.random.Generator(np.random.Philox(request.seed)).random((request.n, request.max_tokens))
    return [Sample(request, row) for row in uniforms]


def _packed(logits: torch.Tensor) -> NDArray[np.uint32]:
    """Which logits a grammar left, as bits, shape [n, ceil(vocabulary / 32)]."""
    open_ = (logits != float("-inf")).cpu().numpy()
    padded = np.pad(open_, ((0, 0), (0, -open_.shape[1] % 32)))
    return np.packbits(padded, axis=1, bitorder="little").view(np.uint32)
