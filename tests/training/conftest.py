"""Documents, and two engines to play with: the tiny model, and one that writes what it is told to."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spice.config import Config
from spice.rollout.base import Completion, Engine, EngineStats, Finished, Request, Stream
from spice.rollout.batches import BatchStream
from spice.selfplay.types import Document
from spice.selfplay.verify import Verifier
from spice.settings import resolve
from spice.text.spans import SpanIndex

torch = pytest.importorskip("torch")

from spice.learner.torch_learner import TorchLearner  # noqa: E402
from spice.models.loading import load_model, load_tokenizer  # noqa: E402
from spice.rollout.transformers_engine import TransformersEngine  # noqa: E402
from spice.training.play import Players  # noqa: E402

FACTS = [
    "On 5 July 1962 it got its own flag. In 1963 Ben Bella built the iron bridge, 31 m high. It has 48 wilayas.",
    "On 1 June 1905 it got its own anthem. In 1814 Carl Berg built the stone church, 70 m high. It has 15 counties.",
    "On 9 May 1821 it got its own stamps. In 1879 Ana Soto built the glass market, 12 m high. It has 25 regions.",
    "On 2 March 1949 it got its own seal. In 1911 Li Wei built the wooden temple, 55 m high. It has 23 provinces.",
    "On 28 May 1922 it got its own coins. In 1902 Mona Zaki built the brick theatre, 24 m high. It has 27 states.",
]


@dataclass
class Recorded:
    """Passes everything on to a real stream, and keeps the requests."""

    stream: Stream
    requests: list[Request]

    def add(self, key: Hashable, request: Request) -> None:
        self.requests.append(request)
        self.stream.add(key, request)

    def drop(self, key: Hashable, first: int = 0) -> None:
        self.stream.drop(key, first)

    def close(self) -> None:
        self.stream.close()

    def step(self) -> list[Finished]:
        return self.stream.step()

    def __len__(self) -> int:
        return len(self.stream)


@dataclass
class ScriptedEngine:
    """Writes `write(prompt, request, copy)`, cut at the request's length, and keeps the requests of every call."""

    tokenizer: Any
    write: Callable[[str, Request, int], str]
    calls: list[list[Request]] = field(default_factory=list)

    def generate(self, requests: Sequence[Request]) -> list[list[Completion]]:
        self.calls.append(list(requests))
        return [[self._completion(request, copy) for copy in range(request.n)] for request in requests]

    def stream(self) -> BatchStream:
        return BatchStream(self.generate)

    def update_weights(self, state: Any) -> None:
        raise AssertionError("playing changes no weights")

    def _completion(self, request: Request, copy: int) -> Completion:
        text = self.write(self.tokenizer.decode(request.prompt), request, copy)
        tokens = [*self.tokenizer.encode(text), self.tokenizer.eos_token_id][: request.max_tokens]
        zeros = np.zeros(len(tokens), np.float32)
        finish = "stop" if tokens[-1] == self.tokenizer.eos_token_id else "length"
        return Completion(tuple(tokens), zeros, zeros, self.tokenizer.decode(tokens, True), finish)


@dataclass
class RecordingEngine:
    """Passes everything on to a real engine, and keeps the requests."""

    engine: Engine
    requests: list[Request] = field(default_factory=list)

    def generate(self, requests: Sequence[Request]) -> list[list[Completion]]:
        self.requests += requests
        return self.engine.generate(requests)

    def rest(self) -> None:
        self.engine.rest()

    def stats(self) -> EngineStats:
        return self.engine.stats()

    def stream(self) -> Recorded:
        return Recorded(self.engine.stream(), self.requests)

    def update_weights(self, state: Any) -> None:
        self.engine.update_weights(state)


@dataclass(frozen=True)
class Table:
    """All that a game needs besides its recipe."""

    tokenizer: Any
    documents: list[Document]
    verifier: Verifier
    folder: Path
    config: Config

    def players(self, engine: Engine, overlap: bool = False, **recipe: Any) -> Players:
        index = SpanIndex((document.id, document.text) for document in self.documents)
        return Players(engine, self.tokenizer, self.recipe(**recipe), index, self.verifier, overlap)

    def recipe(self, **changes: Any) -> Any:
        """The smoke preset's recipe with some changes."""
        return type(self.config.recipe)(**{**self.config.recipe.model_dump(), **changes})

    def scripted(self, write: Callable[[str, Request, int], str]) -> ScriptedEngine:
        return ScriptedEngine(self.tokenizer, write)

    def engine(self) -> RecordingEngine:
        model = load_model(self.folder, "float32")
        return RecordingEngine(TransformersEngine(model, self.tokenizer, self.config.rollout.batch_tokens))

    def learner(self) -> TorchLearner:
        budgets = {"challenger": self.config.recipe.challenger_tokens, "reasoner": self.config.recipe.reasoner_tokens}
        return TorchLearner(load_model(self.folder, "float32"), self.config.learner, budgets)


@pytest.fixture(scope="session")
def table(tiny_folder: Path) -> Iterator[Table]:
    torch.set_num_threads(1)
    documents = [Document(f"d{i}", f"d{i}.md", text) for i, text in enumerate(FACTS)]
    config = resolve(preset="smoke", environ={}).config
    with Verifier() as verifier:
        yield Table(load_tokenizer(tiny_folder), documents, verifier, tiny_folder, config)
