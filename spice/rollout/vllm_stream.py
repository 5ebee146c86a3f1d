"""What is under way in a vLLM engine, and which request enters it when."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
from vllm import LLMEngine, RequestOutput, SamplingParams
from vllm.exceptions import VLLMValidationError
from vllm.inputs import TokensPrompt
from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams

from spice.errors import ConfigError, ModelError
from spice.rollout.base import Completion, Finished, Grammar, Request
from spice.rollout.vllm_draw import SAMPLE, Draw, Sample, new_samples

_STRUCTURED = {"json_schema": "json", "regex": "regex", "lark": "grammar"}


@dataclass
class Work:
    """Counts of what streams did; see `spice.rollout.base.EngineStats`."""

    seconds: float = 0.0
    generated: int = 0
    prompts: int = 0
    cached: int = 0


@dataclass(frozen=True)
class _Copy:
    name: str
    key: Hashable
    copy: int
    sample: Sample
    params: SamplingParams

    @property
    def prompt(self) -> tuple[int, ...]:
        return self.sample.request.prompt


class VllmStream:
    """The stream of `VllmEngine`; see `spice.rollout.base.Stream`."""

    def __init__(
        self,
        engine: LLMEngine,
        draw: Draw,
        tokenizer: Any,
        names: Callable[[], int],
        work: Work,
        clock: Callable[[], float],
    ) -> None:
        """Begin with nothing under way.

        Args:
            engine: vLLM's engine, in this process.
            draw: its logits processor.
            tokenizer: of the model.
            names: a new number at each call, for as long as the engine lives.
            work: where to count.
            clock: seconds.
        """
        self._engine, self._draw, self._tokenizer = engine, draw, tokenizer
        self._names, self._work, self._clock = names, work, clock
        self._block = engine.vllm_config.cache_config.block_size
        self._waiting: list[_Copy] = []
        self._active: dict[str, _Copy] = {}
        # The first of all prompts that begin alike, and the first copy of each prompt: what the cache waits for.
        self._leaders: dict[tuple[int, ...], Sample] = {}

    def add(self, key: Hashable, request: Request) -> None:
        """Take in a request; see `spice.rollout.base.Stream`."""
        limit = self._engine.model_config.max_model_len
        if len(request.prompt) + request.max_tokens > limit:
            raise ConfigError(
                f"A prompt of {len(request.prompt)} tokens and an answer of up to {request.max_tokens} do not fit into "
                f"{limit} tokens. Raise rollout.max_length, or shorten documents or answers."
            )
        for copy, sample in enumerate(new_samples(request)):
            number = self._names()
            self._draw.samples[number] = sample
            self._waiting.append(_Copy(str(number), key, copy, sample, self._params(request, number)))

    def drop(self, key: Hashable, first: int = 0) -> None:
        """Forget copies of a request; see `spice.rollout.base.Stream`."""
        self._forget([one for one in [*self._waiting, *self._active.values()] if one.key == key and one.copy >= first])

    def close(self) -> None:
        """Forget everything; see `spice.rollout.base.Stream`."""
        self._forget([*self._waiting, *self._active.values()])

    def step(self) -> list[Finished]:
        """Draw a token for what vLLM schedules; see `spice.rollout.base.Stream`."""
        start = self._clock()
        self._admit()
        finished = [
            self._finished(self._active.pop(output.request_id), output)
            for output in self._engine.step()
            if output.finished and output.request_id in self._active
        ]
        self._work.seconds += self._clock() - start
        return finished

    def __len__(self) -> int:
        """How many continuations are under way or wait to be."""
        return len(self._active) + len(self._waiting)

    def _admit(self) -> None:
        """Hand over what need not wait for a cache entry that is being made."""
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            if self._is_cached(one.prompt[: self._block], one.sample) and self._is_cached(one.prompt, one.sample):
                try:
                    self._engine.add_request(one.name, TokensPrompt(prompt_token_ids=list(one.prompt)), one.params)
                except VLLMValidationError as error:
                    raise _refusal(one.sample.request.grammar, error) from error
                self._active[one.name] = one
            else:
                self._waiting.append(one)

    def _is_cached(self, beginning: tuple[int, ...], sample: Sample) -> bool:
        """Whether a beginning is in vLLM's cache, or this is the sample that will put it there."""
        leader = self._leaders.setdefault(beginning, sample)
        return leader is sample or bool(leader.logprobs) or len(beginning) < self._block

    def _forget(self, copies: list[_Copy]) -> None:
        gone = {one.name for one in copies}
        self._engine.abort_request([name for name in gone if name in self._active])
        self._active = {name: one for name, one in self._active.items() if name not in gone}
        self._waiting = [one for one in self._waiting if one.name not in gone]
        for one in copies:
            self._draw.samples.pop(int(one.name), None)
            self._work.generated += len(one.sample.logprobs)
        lost = {id(one.sample) for one in copies if not one.sample.logprobs}
        self._leaders = {begin: sample for begin, sample in self._leaders.items() if id(sample) not in lost}

    def _params(self, request: Request, number: int) -> SamplingParams:
        grammar = request.grammar
        return SamplingParams(
            temperature=0.0,  # what it takes is drawn by `Draw`
            max_tokens=request.max_tokens,
            stop_token_ids=[self._tokenizer.eos_token_id],
            structured_outputs=StructuredOutputsParams(**{_STRUCTURED[grammar.kind]: grammar.text})
            if grammar
            else None,
            detokenize=False,
            output_kind=RequestOutputKind.FINAL_ONLY,
            extra_args={SAMPLE: number},
        )

    def _finished(self, one: _Copy, output: RequestOutput) -> Finished:
        (written,) = output.outputs
        if written.finish_reason not in ("stop", "length"):
            raise ModelError(f"vLLM ended a continuation with {written.finish_reason!r}; its log says why.")
        tokens = tuple(written.token_ids)
        sample = self._draw.samples.pop(int(one.name))
        self._work.generated += len(tokens)
        self._work.prompts += len(one.prompt)
        self._work.cached += output.num_cached_tokens or 0
        completion = Completion(
            tokens=tokens,
            logprobs=np.array(sample.logprobs, dtype=np.float32),
            entropies=np.array(sample.entropies, dtype=np.float32),
            text=self._tokenizer.decode(tokens, skip_special_tokens=True),
            finish="stop" if tokens[-1] == self._tokenizer.eos_token_id else "length",
            allowed=np.stack(sample.allowed) if sample.allowed else None,
        )
        return Finished(one.key, one.copy, completion)


def _refusal(grammar: Grammar | None, error: VLLMValidationError) -> ConfigError:
    if grammar is None:
        return ConfigError(f"vLLM does not take a request: {error}")
    return ConfigError(f"The {grammar.kind} grammar does not compile: {error}")
