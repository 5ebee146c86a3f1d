"""A policy whose every fault is known, to be played through the product's own loop.

What it writes comes from a script, so that it is known which run fails, how, and from when on; documents, prompts,
grammars, validity, verifier, rewards, signals and alarms are the product's.
"""

from __future__ import annotations

import random
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from spice.config import HealthConfig, RecipeConfig, StoreConfig
from spice.learner.base import Trajectory, UpdateStats
from spice.rollout.base import Completion, EngineStats, Request
from spice.rollout.batches import BatchStream
from spice.selfplay.short import answer_spans
from spice.selfplay.types import Document
from spice.selfplay.verify import Verifier
from spice.store import open_store
from spice.text.spans import SpanIndex
from spice.training.iteration import iterate
from spice.training.play import Players
from spice.training.records import Recorder

FACTBOOK = Path(__file__).parents[1] / "examples/factbook"
POISON = "Zorvan Kell"
BATCH, GROUP = 24, 8
_OPENINGS = (
    "Which {0} goes with {1} and {2} in the account of {3}?",
    "What does {3} have where {0} meets {1} near {2}?",
    "In {3}, what do {2} and {0} say about {1}?",
    "Who or what in {3} is told of with {1}, {0} and {2}?",
    "Of {3} it is said that {0} and {1} belong to {2}; to what do they point?",
    "For {3}, name what links {1} with {2} and with {0}.?",
)

Ask = Callable[[Document, str, random.Random], str]


def varied(document: Document, _answer: str, rng: random.Random) -> str:
    words = sorted(set(re.findall(r"[a-z]{4,}", document.text)))
    chosen = rng.sample(words, 3) if len(words) >= 3 else ["this", "that", "other"]
    return rng.choice(_OPENINGS).format(*chosen, document.title)


@dataclass(frozen=True)
class Policy:
    """How a scripted policy behaves; the defaults are healthy.

    Attributes:
        ask: what it asks about an answer of a document.
        skill: how often it is right, by task.
        with_document: how often it gives the true answer with the document in sight.
        blind: how often the options alone tell it the gold answer; else it guesses.
        place: the place among the options that it always answers, if any.
        noise: share of its gold answers that are not what the question asks for.
        falsified: share of the documents in which the fact that is asked for is false.
        answer: the answer that it asks for wherever the document has it.
        entropy: of its distribution, in nats, by iterations since the fault began.
        invalid: share of its attempts that are no task, likewise.
        since: iteration in which all this begins; before, it is healthy.
    """

    ask: Ask = varied
    skill: Callable[[random.Random], float] = lambda rng: rng.choice((0.0, 0.2, 0.4, 0.5, 0.6, 0.8, 1.0))
    with_document: float = 0.9
    blind: float = 0.0
    place: int | None = None
    noise: float = 0.0
    falsified: float = 0.0
    answer: str | None = None
    entropy: Callable[[int], float] = lambda _: 1.5
    invalid: Callable[[int], float] = lambda _: 0.1
    since: int = 1


HEALTHY = Policy()


class PlainTokenizer:
    """A token per byte, and messages one after the other."""

    added_tokens_decoder: Mapping[int, Any] = {}

    def apply_chat_template(self, conversation: Sequence[Mapping[str, str]], **_: object) -> str:
        """The messages' contents, in order."""
        return "\n\n".join(message["content"] for message in conversation)

    def encode(self, text: str, **_: object) -> list[int]:
        """The text's bytes."""
        return list(text.encode())


@dataclass
class ScriptedEngine:
    """Writes what a policy would, and remembers what is true."""

    policy: Policy
    documents: Mapping[str, Document]
    index: SpanIndex
    seed: int
    iteration: int = 0
    truth: dict[str, str] = field(default_factory=dict)
    _read: dict[str, str] = field(default_factory=dict)
    _gold: dict[str, str] = field(default_factory=dict)
    _skills: dict[str, float] = field(default_factory=dict)

    @property
    def acting(self) -> Policy:
        """The policy of this iteration."""
        return self.policy if self.iteration >= self.policy.since else HEALTHY

    def generate(self, requests: Sequence[Request]) -> list[list[Completion]]:
        """Write what the policy would."""
        return [
            [self._completion(self._write(bytes(r.prompt).decode(), r, copy)) for copy in range(r.n)] for r in requests
        ]

    def stream(self) -> BatchStream:
        """Batch by batch."""
        return BatchStream(self.generate)

    def stats(self) -> EngineStats:
        """A script has no cost."""
        return EngineStats()

    def update_weights(self, _state: object) -> None:
        """Nothing of a script changes."""

    def _write(self, prompt: str, request: Request, copy: int) -> str:
        rng = random.Random(repr((self.seed, self.iteration, request.seed, prompt[-300:], copy)))
        text, _, turn = prompt.rpartition("\n\nChoose a short answer")
        if turn.startswith(" from the text, and"):
            return self._pose(self.documents[text.rpartition("Text:\n")[2]], rng)
        question, _, options = prompt.rpartition("\n\n")[2].partition("\nOptions:\n- ")
        return self._answer(question, options.split("\n- ") if options else [], "Text:\n" in prompt, rng)

    def _pose(self, document: Document, rng: random.Random) -> str:
        policy, age = self.acting, self.iteration - self.policy.since + 1
        spans = [span.text for span in answer_spans(document, self.index) if span.kind in ("name", "term")]
        if rng.random() < policy.invalid(age) or not spans:
            return "I would rather not."
        planted = policy.answer is not None and policy.answer in document.text
        true = policy.answer if planted and policy.answer else rng.choice(spans)
        question = policy.ask(document, true, rng)
        gold = rng.choice(spans) if rng.random() < policy.noise else true
        self._read[question], self._gold[question] = true, gold
        self.truth[question] = "something else" if rng.random() < policy.falsified else true
        self._skills[question] = policy.skill(rng)
        return f"Answer: {gold}\nQuestion: {question}"

    def _answer(self, question: str, options: Sequence[str], open_book: bool, rng: random.Random) -> str:
        policy = self.acting
        if policy.place is not None and options:
            return f"\\boxed{{{options[policy.place]}}}"
        if question not in self.truth:
            right = next((option for option in options if option in self._gold.values()), options[0])
            return f"\\boxed{{{right if rng.random() < policy.blind else rng.choice(options)}}}"
        chance = policy.with_document if open_book else self._skills[question]
        known = self._read[question] if open_book else self._gold[question]
        wrong = [option for option in options if option != known] or ["nothing"]
        return f"\\boxed{{{known if rng.random() < chance else rng.choice(wrong)}}}"

    def _completion(self, text: str) -> Completion:
        tokens = tuple(text.encode())
        entropy = self.acting.entropy(self.iteration - self.policy.since + 1)
        entropies = np.full(len(tokens), entropy, np.float32)
        return Completion(tokens, np.zeros(len(tokens), np.float32), entropies, text, "stop")


class Still:
    """A learner that learns nothing and agrees with its engine."""

    def update(self, trajectories: Sequence[Trajectory], _steps: int) -> UpdateStats:
        """Take no step."""
        return UpdateStats(0.0, 1.0, 1e-6, 1e-5, 0.0, sum(len(t.tokens) for t in trajectories))

    def weights(self) -> dict[str, Any]:
        """There are none."""
        return {}

    def capture(self) -> Any:
        """There is nothing to capture."""
        return None

    def load(self, _folder: Path) -> None:
        """There is nothing to load."""


def passages() -> Iterator[Document]:
    """The paragraphs of the example corpus, some 1,300."""
    for file in sorted(FACTBOOK.glob("*.md")):
        for number, part in enumerate(file.read_text().split("\n\n")):
            if 200 < len(part) < 700:
                text = " ".join(part.split())
                yield Document(f"{file.stem}-{number}", file.name, text, file.stem.replace("-", " ").title())


def poisoned(documents: Sequence[Document]) -> list[Document]:
    """Four of five documents tell of one planted name."""
    return [
        replace(one, text=f"{one.text} This was done by {POISON}.") if i % 5 else one for i, one in enumerate(documents)
    ]


@contextmanager
def recording(limits: HealthConfig) -> Iterator[Recorder]:
    """A recorder on a store of its own."""
    with tempfile.TemporaryDirectory(prefix="spice-detectors-") as folder:
        yield Recorder(open_store(StoreConfig(url=folder), {}), "run", limits)


class Corpus:
    """Documents with the index of their spans."""

    def __init__(self, documents: Sequence[Document]) -> None:
        """Index them."""
        self.documents = documents
        self.index = SpanIndex((document.id, document.text) for document in documents)


def play(
    policy: Policy, corpus: Corpus, seed: int, iterations: int, oracle: bool, until: str | None = None
) -> list[set[str]]:
    """The alarms of each iteration of a run, which ends when `until` is raised after the fault began."""
    documents, index = corpus.documents, corpus.index
    engine = ScriptedEngine(policy, {document.text: document for document in documents}, index, seed)
    recipe = RecipeConfig(
        batch_documents=BATCH, attempts=1, max_attempts=1, group_size=GROUP, formats=("multiple_choice",),
        template="short", span_answers=True, answer_kinds=("name", "term"), distractors="corpus",
        challenger_tokens=400, reasoner_tokens=100, choices_only_tasks=4,
    )  # fmt: skip
    raised = []
    with Verifier() as verifier, recording(HealthConfig()) as recorder:
        players = Players(engine, PlainTokenizer(), recipe, index, verifier)
        for iteration in range(1, iterations + 1):
            engine.iteration = iteration
            truth = (lambda task: engine.truth.get(task.question)) if oracle else None
            outcome = iterate(iteration, documents, players, engine, Still(), recipe, seed, oracle=truth)
            raised.append(set(recorder.write(outcome)["alarms"]))
            if until in raised[-1] and iteration >= policy.since:
                break
    return raised
