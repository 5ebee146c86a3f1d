"""How often each alarm of training is raised by a run that fails in its way, and by healthy ones.

    python bench/detectors.py --seeds 10

The runs go through the product's own loop, validity checks, verifier, health signals and alarms. What a policy writes
comes from a script, so that it is known which run fails and how; the mismatched engine is a real model whose weights
were disturbed. Prints a table for each failure, the false alarms of healthy runs, and what the signals cost.
"""

from __future__ import annotations

import argparse
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from spice.config import Config, HealthConfig, RecipeConfig, StoreConfig
from spice.learner.base import Trajectory, UpdateStats
from spice.rollout.base import Completion, EngineStats, Request
from spice.rollout.batches import BatchStream
from spice.selfplay import health
from spice.selfplay.archive import QuestionArchive
from spice.selfplay.short import answer_spans
from spice.selfplay.types import Document, Task
from spice.selfplay.verify import Verifier
from spice.store import open_store
from spice.text.spans import SpanIndex
from spice.training.iteration import iterate
from spice.training.play import Players
from spice.training.records import Recorder

FACTBOOK = Path(__file__).parents[1] / "examples/factbook"
BATCH, ATTEMPTS, GROUP = 24, 1, 8
OPENINGS = (
    "Which {0} goes with {1} and {2} in the account of {3}?",
    "What does {3} have where {0} meets {1} near {2}?",
    "In {3}, what do {2} and {0} say about {1}?",
    "Who or what in {3} is told of with {1}, {0} and {2}?",
    "Of {3} it is said that {0} and {1} belong to {2}; to what do they point?",
    "For {3}, name what links {1} with {2} and with {0}.?",
)


class PlainTokenizer:
    """A token per byte, and messages one after the other."""

    added_tokens_decoder: Mapping[int, Any] = {}

    def apply_chat_template(self, conversation: Sequence[Mapping[str, str]], **_: object) -> str:
        """The messages' contents, in order."""
        return "\n\n".join(message["content"] for message in conversation)

    def encode(self, text: str, **_: object) -> list[int]:
        """The text's bytes."""
        return list(text.encode())


@dataclass(frozen=True)
class Policy:
    """How a scripted policy behaves; the defaults are healthy.

    Attributes:
        question: what it asks about an answer of a document.
        skill: how often it is right, by task.
        with_document: how often it gives the true answer with the document in sight.
        blind: how often the options alone tell it the gold answer; else it guesses.
        place: the place among the options that it always answers, if any.
        noise: share of its gold answers that are not what the question asks for, by iteration.
        falsified: share of the documents in which the fact that is asked for is false.
        answer: the answer that it asks for wherever the document has it.
        entropy: of its distribution, in nats, by iteration.
        invalid: share of its attempts that are no task, by iteration.
    """

    question: Callable[[Document, str, random.Random], str]
    skill: Callable[[random.Random], float] = lambda rng: rng.choice((0.0, 0.2, 0.4, 0.5, 0.6, 0.8, 1.0))
    with_document: float = 0.9
    blind: float = 0.0
    place: int | None = None
    noise: Callable[[int], float] = lambda _: 0.0
    falsified: float = 0.0
    answer: str | None = None
    entropy: Callable[[int], float] = lambda _: 1.5
    invalid: Callable[[int], float] = lambda _: 0.1


@dataclass
class ScriptedEngine:
    """Writes what a policy would, and remembers what is true."""

    policy: Policy
    documents: Mapping[str, Document]
    index: SpanIndex
    seed: int
    iteration: int = 0
    truth: dict[str, str] = field(default_factory=dict)
    read: dict[str, str] = field(default_factory=dict)
    gold: dict[str, str] = field(default_factory=dict)
    skills: dict[str, float] = field(default_factory=dict)

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
        turn = prompt.rpartition("\n\nText:\n" if "\n\nChoose a short answer" in prompt[-120:] else "\n\n")[2]
        if "Choose a short answer" in turn:
            return self._pose(self.documents[turn.partition("\n\nChoose")[0]], rng)
        options = re.search(r"Options: (.*)\n", turn)
        question = turn.rpartition("Question: ")[2]
        return self._answer(question, options[1].split("; ") if options else [], "Text:\n" in prompt[-4000:], rng)

    def _pose(self, document: Document, rng: random.Random) -> str:
        spans = [span.text for span in answer_spans(document, self.index) if span.kind in ("name", "term")]
        planted = self.policy.answer
        if rng.random() < self.policy.invalid(self.iteration) or not spans:
            return "I would rather not."
        true = planted if planted and planted in document.text else rng.choice(spans)
        question = self.policy.question(document, true, rng)
        gold = rng.choice(spans) if rng.random() < self.policy.noise(self.iteration) else true
        self.read[question], self.gold[question] = true, gold
        self.truth[question] = "something else" if rng.random() < self.policy.falsified else true
        self.skills[question] = self.policy.skill(rng)
        return f"Answer: {gold}\nQuestion: {question}"

    def _answer(self, question: str, options: Sequence[str], open_book: bool, rng: random.Random) -> str:
        if self.policy.place is not None and options:
            return f"\\boxed{{{options[self.policy.place]}}}"
        if question not in self.truth:
            right = next((option for option in options if option in self.gold.values()), options[0])
            return f"\\boxed{{{right if rng.random() < self.policy.blind else rng.choice(options)}}}"
        chance = self.policy.with_document if open_book else self.skills[question]
        known = self.read[question] if open_book else self.gold[question]
        wrong = [option for option in options if option != known] or ["nothing"]
        return f"\\boxed{{{known if rng.random() < chance else rng.choice(wrong)}}}"

    def _completion(self, text: str) -> Completion:
        tokens = tuple(text.encode())
        entropies = np.full(len(tokens), self.policy.entropy(self.iteration), np.float32)
        return Completion(tokens, np.zeros(len(tokens), np.float32), entropies, text, "stop")


class Still:
    """A learner that learns nothing and agrees with its engine."""

    def update(self, trajectories: Sequence[Trajectory], _steps: int) -> UpdateStats:
        """Take no step."""
        return UpdateStats(0.0, 1.0, 1e-6, 1e-5, 0.0, sum(len(t.tokens) for t in trajectories))

    def weights(self) -> dict[str, Any]:
        """There are none."""
        return {}

    def save(self, _folder: Path) -> None:
        """There is nothing to save."""

    def load(self, _folder: Path) -> None:
        """There is nothing to load."""


def varied(document: Document, _answer: str, rng: random.Random) -> str:
    words = sorted(set(re.findall(r"[a-z]{4,}", document.text)))
    chosen = rng.sample(words, 3) if len(words) >= 3 else ["this", "that", "other"]
    return rng.choice(OPENINGS).format(*chosen, document.title)


def repeated(_document: Document, _answer: str, rng: random.Random) -> str:
    return rng.choice(
        ("Which of these is named first of all?", "What is it that is told of here?", "Who or what is meant?")
    )


def copied(document: Document, answer: str, rng: random.Random) -> str:
    words = document.text.split()
    start = rng.randrange(max(1, len(words) - 16))
    return " ".join(words[start : start + 16]).replace(answer, "what").strip(".?") + "?"


def leaking(document: Document, answer: str, rng: random.Random) -> str:
    return f"{varied(document, answer, rng)[:-1]} (think of {answer})?"


POISON = "Zorvan Kell"
HEALTHY = Policy(varied)
# The alarm that each failure must raise, and the policy that fails so.
FAILURES: dict[str, tuple[str, Policy]] = {
    "repeats itself": ("repetition", replace(HEALTHY, question=repeated)),
    "copies the document": ("copying", replace(HEALTHY, question=copied)),
    "poses impossible tasks": ("degenerate_groups", replace(HEALTHY, skill=lambda _: 0.0)),
    "poses trivial tasks": ("degenerate_groups", replace(HEALTHY, skill=lambda _: 1.0)),
    "always answers C": ("letters", replace(HEALTHY, place=2)),
    "leaks the answer": ("leak", replace(HEALTHY, question=leaking)),
    "30% label noise, oracle": ("label_noise", replace(HEALTHY, noise=lambda _: 0.3)),
    "30% label noise from iteration 11": ("label_noise", replace(HEALTHY, noise=lambda i: 0.3 if i > 10 else 0.0)),
    # What many documents share is no answer to a task, so a planted name costs valid attempts and teaches nothing.
    "poisoned corpus, one planted name": ("valid_rate", replace(HEALTHY, answer=POISON)),
    # With the document in sight a policy confirms what is false in it; only an oracle knows better.
    "poisoned corpus, false facts, oracle": ("label_noise", replace(HEALTHY, falsified=0.4)),
    "options give it away": ("choices_only", replace(HEALTHY, blind=0.9)),
    "entropy collapses": ("entropy_collapse", replace(HEALTHY, entropy=lambda i: 1.5 * 0.7**i)),
    "death spiral": (
        "death_spiral",
        replace(HEALTHY, entropy=lambda i: 1.5 + 0.1 * i, invalid=lambda i: min(0.9, 0.06 * i)),
    ),
    "writes no tasks": ("valid_rate", replace(HEALTHY, invalid=lambda _: 0.9)),
}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seeds", type=int, default=5)
    options.add_argument("--iterations", type=int, default=24)
    chosen = options.parse_args()
    documents = list(passages())
    print(f"{chosen.seeds} seeds, {chosen.iterations} iterations of {BATCH} documents, G = {GROUP}\n")
    print(f"{'run':36} {'alarm':18} {'found':>6} {'first at':>9}   others raised")
    for name, (wanted, policy) in FAILURES.items():
        corpus = poisoned(documents) if policy.answer else documents
        runs = [play(policy, corpus, seed, chosen.iterations, name.endswith("oracle")) for seed in range(chosen.seeds)]
        report(name, wanted, runs)
    report("mismatched engine", "mismatch", [mismatched(seed) for seed in range(chosen.seeds)])
    quiet = [play(HEALTHY, documents, 1000 + s, chosen.iterations, oracle=True) for s in range(chosen.seeds)]
    raised = Counter(alarm for run in quiet for iteration in run for alarm in iteration)
    bad = sum(bool(iteration) for run in quiet for iteration in run)
    print(f"\nhealthy: {bad} of {sum(map(len, quiet))} iterations raised an alarm; {dict(raised) or 'none'}")
    costs(documents)


def passages() -> Iterator[Document]:
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


def play(policy: Policy, documents: Sequence[Document], seed: int, iterations: int, oracle: bool) -> list[set[str]]:
    """The alarms of each iteration of a run."""
    index = SpanIndex((document.id, document.text) for document in documents)
    engine = ScriptedEngine(policy, {document.text: document for document in documents}, index, seed)
    recipe = RecipeConfig(
        batch_documents=BATCH, attempts=ATTEMPTS, max_attempts=ATTEMPTS, group_size=GROUP, formats=("multiple_choice",),
        template="short", span_answers=True, answer_kinds=("name", "term"), distractors="corpus",
        challenger_tokens=400, reasoner_tokens=100, choices_only_tasks=4,
    )  # fmt: skip
    raised = []
    with Verifier() as verifier:
        players = Players(engine, PlainTokenizer(), recipe, index, verifier)
        recorder = recording()
        for iteration in range(1, iterations + 1):
            engine.iteration = iteration
            truth = (lambda task: engine.truth.get(task.question)) if oracle else None
            outcome = iterate(iteration, documents, players, engine, Still(), recipe, seed, oracle=truth)
            raised.append(set(recorder.write(outcome)["alarms"]))
    return raised


def mismatched(seed: int) -> list[set[str]]:
    """A real model whose engine has not got the learner's weights but disturbed ones."""
    import torch

    from spice.models.catalog import locate
    from spice.models.loading import load_model, load_tokenizer
    from spice.rollout.open import open_engine
    from spice.settings import resolve
    from spice.training.seats import open_learner

    config: Config = resolve("smoke", environ={}).config
    folder = locate(config.model)
    documents = list(passages())[:50]
    index = SpanIndex((document.id, document.text) for document in documents)
    learner, engine = open_learner(folder, config), open_engine(folder, config.model, config.rollout)
    generator = torch.Generator().manual_seed(seed)
    disturbed = {
        name: tensor + 0.3 * tensor.std() * torch.randn(tensor.shape, generator=generator)
        for name, tensor in load_model(folder, "float32").state_dict().items()
    }
    engine.update_weights(disturbed)
    recorder = recording()
    with Verifier() as verifier:
        players = Players(engine, load_tokenizer(folder), config.recipe, index, verifier)
        outcome = iterate(1, documents, players, engine, learner, config.recipe, seed)
    return [set(recorder.write(outcome)["alarms"])]


def recording() -> Recorder:
    import tempfile

    folder = tempfile.mkdtemp(prefix="spice-detectors-")
    return Recorder(open_store(StoreConfig(url=folder), {}), "run", HealthConfig())


def report(name: str, wanted: str, runs: Sequence[Sequence[set[str]]]) -> None:
    firsts = [next((i for i, alarms in enumerate(run, 1) if wanted in alarms), None) for run in runs]
    found = [first for first in firsts if first is not None]
    others = Counter(alarm for run in runs for alarm in set().union(*run) - {wanted})
    first = f"{np.median(found):.0f}" if found else "-"
    told = ", ".join(f"{alarm} {count}" for alarm, count in others.most_common())
    print(f"{name:36} {wanted:18} {len(found)}/{len(runs):<4} {first:>9}   {told}", flush=True)


def costs(documents: Sequence[Document]) -> None:
    """Seconds of the signals of one iteration, at the size of `laptop` and of the paper."""
    rng = random.Random(0)
    for name, attempts, remembered in (("laptop", 16, 10_000), ("paper", 1024, 1_000_000)):
        archive = QuestionArchive()
        archive.add([varied(rng.choice(documents), "", rng) for _ in range(min(remembered, 20_000))])
        answers = tuple(health.Answer(bool(i % 2), "x", 20, False, 1.0) for i in range(GROUP))
        posed = []
        for _ in range(attempts):
            document = rng.choice(documents)
            options = ("x", "y", "z", "w")
            task = Task("multiple_choice", varied(document, "", rng), "x", options=options)
            posed.append(health.Attempt(document.text, task, True, 60, False, 1.0, answers))
        start = time.perf_counter()
        health.assess(posed, archive)
        print(f"signals of {attempts} tasks ({name}), {len(archive):,} remembered: {time.perf_counter() - start:.3f} s")


if __name__ == "__main__":
    main()
