"""vLLM in a process of its own, on other GPUs or another machine: generation over HTTP, weights by a transfer.

What is different from the engine in this process: vLLM draws the tokens, so the
same seed gives other texts; the entropy at a token is estimated by the surprise
at what was drawn, which is right on average; and what a grammar allowed is
worked out again here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spice.errors import ModelError
from spice.rollout.base import Completion, EngineStats, Finished, Grammar, Request, complete
from spice.rollout.grammar import GrammarCompiler
from spice.rollout.vllm_http import Answer, Choice, Http
from spice.rollout.vllm_serve import NAME
from spice.rollout.vllm_transfer import Transfer

if TYPE_CHECKING:
    import torch

STRUCTURED = {"json_schema": "json", "regex": "regex", "lark": "grammar"}
"""vLLM's names of what a grammar is written in."""
_LARGEST_SEED = 2**63 - 1


class VllmServerEngine:
    """Generates with a server that `spice.rollout.vllm_serve` started."""

    def __init__(
        self,
        http: Http,
        transfer: Transfer,
        tokenizer: Any,
        vocabulary: int,
        sequences: int,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Take a server.

        Args:
            http: where it answers.
            transfer: brings weights there.
            tokenizer: of the model.
            vocabulary: size of the model's output.
            sequences: most requests in flight at once.
            clock: seconds.
        """
        self._http, self._transfer, self._tokenizer = http, transfer, tokenizer
        self._grammars = GrammarCompiler(tokenizer, vocabulary)
        self._pool = ThreadPoolExecutor(sequences, thread_name_prefix="vllm")
        self._clock = clock
        self._stats = EngineStats()

    def generate(self, requests: Sequence[Request]) -> list[list[Completion]]:
        """Continue every request; see `spice.rollout.base.Engine`."""
        return complete(self.stream(), requests)

    def stream(self) -> ServerStream:
        """A stream with nothing under way; see `spice.rollout.base.Engine`."""
        return ServerStream(self._submit, self._read, self._clock, self._count)

    def update_weights(self, state: Mapping[str, torch.Tensor]) -> None:
        """Send the learner's weights, and let the server forget the keys and values of the old ones."""
        self._transfer.send(state)
        self._http.post("/reset_prefix_cache")

    def rest(self) -> None:
        """The server's memory is its own."""

    def stats(self) -> EngineStats:
        """What the server has done for this engine; see `spice.rollout.base.Engine`."""
        return self._stats

    def close(self) -> None:
        """Let go of the threads; the server stays."""
        self._pool.shutdown(cancel_futures=True)

    def _count(self, work: EngineStats) -> None:
        self._stats += work

    def _submit(self, request: Request) -> Future[Answer]:
        if request.grammar:
            self._grammars.matcher(request.grammar)  # refuses what does not compile before it is sent
        body = {
            "model": NAME,
            "prompt": list(request.prompt),
            # vLLM refuses several copies where all would be alike.
            "n": request.n if request.temperature else 1,
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "seed": request.seed & _LARGEST_SEED,
            "stop_token_ids": [self._tokenizer.eos_token_id],
            "logprobs": 0,
            "return_token_ids": True,
        }
        if request.grammar:
            body["structured_outputs"] = {STRUCTURED[request.grammar.kind]: request.grammar.text}
        return self._pool.submit(self._http.complete, body)

    def _read(self, request: Request, answer: Answer) -> list[Completion]:
        written = [self._completion(request, one) for one in sorted(answer.choices, key=lambda one: one.index)]
        if request.temperature == 0.0:
            written *= request.n
        if len(written) != request.n:
            raise ModelError(f"The vLLM server gave {len(written)} continuations where {request.n} were asked for.")
        return written

    def _completion(self, request: Request, choice: Choice) -> Completion:
        tokens = tuple(choice.token_ids)
        logprobs = np.array(choice.logprobs.token_logprobs, dtype=np.float32)
        if not tokens or len(logprobs) != len(tokens):
            raise ModelError(f"The vLLM server gave {len(tokens)} tokens and {len(logprobs)} log-probabilities.")
        return Completion(
            tokens=tokens,
            logprobs=logprobs,
            entropies=-logprobs,
            text=self._tokenizer.decode(tokens, skip_special_tokens=True),
            finish="stop" if tokens[-1] == self._tokenizer.eos_token_id else "length",
            allowed=self._allowed(request.grammar, tokens) if request.grammar else None,
        )

    def _allowed(self, grammar: Grammar, tokens: Sequence[int]) -> NDArray[np.uint32]:
        """What the grammar allowed at each token, shape [tokens, ceil(vocabulary / 32)]."""
        matcher, rows = self._grammars.matcher(grammar), []
        for token in tokens:
            rows.append(self._grammars.allowed([matcher])[0])
            matcher.consume_token(token)
        return np.stack(rows)


class ServerStream:
    """The stream of `VllmServerEngine`; see `spice.rollout.base.Stream`. The server decides what runs when."""

    def __init__(
        self,
        submit: Callable[[Request], Future[Answer]],
        read: Callable[[Request, Answer], list[Completion]],
        clock: Callable[[], float],
        count: Callable[[EngineStats], None],
    ) -> None:
        """Begin with nothing under way.

        Args:
            submit: sends a request.
            read: makes its continuations of an answer.
            clock: seconds.
            count: told what was done.
        """
        self._submit, self._read, self._clock, self._count = submit, read, clock, count
        self._under_way: dict[Hashable, tuple[Request, Future[Answer]]] = {}

    def add(self, key: Hashable, request: Request) -> None:
        """Send a request; see `spice.rollout.base.Stream`."""
        self._under_way[key] = (request, self._submit(request))

    def drop(self, key: Hashable, first: int = 0) -> None:
        """Forget a request; where only some copies are dropped, the server writes them all the same."""
        if first == 0 and key in self._under_way:
            self._under_way.pop(key)[1].cancel()

    def close(self) -> None:
        """Forget everything; see `spice.rollout.base.Stream`."""
        for key in list(self._under_way):
            self.drop(key)

    def step(self) -> list[Finished]:
        """Wait until something has come to its end; in the order in which that was added."""
        start = self._clock()
        wait([future for _, future in self._under_way.values()], return_when=FIRST_COMPLETED)
        work = EngineStats(seconds=self._clock() - start)
        finished = []
        for key, (request, future) in list(self._under_way.items()):
            if future.done():
                del self._under_way[key]
                answer = future.result()
                finished += [Finished(key, copy, one) for copy, one in enumerate(self._read(request, answer))]
                work += _cost(answer, request)
        self._count(work)
        return finished

    def __len__(self) -> int:
        """How many continuations are under way."""
        return sum(request.n for request, _ in self._under_way.values())


def _cost(answer: Answer, request: Request) -> EngineStats:
    details = answer.usage.prompt_tokens_details
    return EngineStats(
        generated_tokens=answer.usage.completion_tokens,
        prompt_tokens=len(request.prompt),
        cached_tokens=(details.cached_tokens if details else None) or 0,
    )
