"""Stores with runs, evaluations and releases in them, written by the functions that write them in earnest."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from prometheus_client import CollectorRegistry

from spice.config import Config
from spice.learner.base import UpdateStats
from spice.monitoring.exporter import Exporter
from spice.promotion import approval, gate, release, request
from spice.rollout.base import Completion
from spice.selfplay.types import Document, Task
from spice.selfplay.verify import Verdict
from spice.settings import resolve
from spice.store import artifacts
from spice.store.base import ObjectStore
from spice.store.folder import FolderStore
from spice.training.iteration import Outcome, Played
from spice.training.play import Answers, Attempt
from spice.training.records import Recorder
from spice.trust.enrol import enrol
from spice.trust.keyring import Role
from spice.trust.signing import Signer

WORDS = "river mountain treaty harbour export capital border mineral railway season island currency".split()
_seeds = count()  # no two groups of answers are the same draws
PHASES = {"challenge": 4.0, "answer": 2.0, "audit": 1.0, "update": 3.0}


@dataclass(frozen=True)
class Turn:
    """What one iteration shall look like. Shares are of `tasks` attempts."""

    tasks: int = 16
    valid: float = 1.0
    passes: float = 0.5
    group: int = 4
    challenger_entropy: float = 1.0
    reasoner_entropy: float = 0.5
    tokens: int = 20
    audit: float = 0.9
    logprob_gap: float = 1e-4
    ask: Callable[[random.Random], str] = lambda rng: " ".join(rng.choices(WORDS, k=9))


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return FolderStore(tmp_path / "store")


@pytest.fixture
def play(store: ObjectStore) -> Callable[..., None]:
    """Play a run of given turns into the store, as training records it."""

    def play(
        run: str, turns: Sequence[Turn], *, status: str = "training", corpus: str = "facts", sets: Iterable[str] = ()
    ) -> None:
        config = resolve("smoke", None, {}, list(sets)).config
        info = {"status": status, "corpus": f"datasets/{corpus}/{'0' * 64}"}
        store.put(f"runs/{run}/run.json", json.dumps(info).encode())
        store.put(f"runs/{run}/config.json", config.model_dump_json().encode())
        recorder, rng = Recorder(store, run), random.Random(run)
        for number, turn in enumerate(turns, start=1):
            recorder.write(outcome(number, turn, rng))

    return play


def outcome(number: int, turn: Turn, rng: random.Random) -> Outcome:
    valid = round(turn.valid * turn.tasks)
    played = [attempt(place, turn, rng, place < valid) for place in range(turn.tasks)]
    update = UpdateStats(0.1, 1.0, turn.logprob_gap, 10 * turn.logprob_gap, 0.0, 100 * turn.tasks)
    return Outcome(number, played, turn.tasks - valid, update, dict(PHASES))


def attempt(place: int, turn: Turn, rng: random.Random, valid: bool) -> Played:
    document = Document(f"document-{place}", "facts.jsonl", "Nothing that a question could copy.")
    task = Task("free_form", f"{turn.ask(rng)}?", f"answer {rng.random()}") if valid else None
    made = Attempt(document, (1,), completion(turn.tokens, turn.challenger_entropy), task, "", {"unleaked": True})
    if task is None:
        return Played(made, reward=-0.1)
    right = [rng.random() < turn.passes for _ in range(turn.group)]
    return Played(
        made,
        reward=0.5,
        answers=graded(task, right, turn),
        trained=True,
        answer_rewards=[float(one) for one in right],
        audit=graded(task, [rng.random() < turn.audit], turn),
    )


def graded(task: Task, right: Sequence[bool], turn: Turn) -> Answers:
    n = len(right)
    verdicts = [Verdict(correct=one, extracted="x") for one in right]
    written = [completion(turn.tokens, turn.reasoner_entropy)] * n
    return Answers([(1,)] * n, written, verdicts, [task] * n, seed=next(_seeds))


def completion(tokens: int, entropy: float) -> Completion:
    each = np.full(tokens, entropy, np.float32)
    return Completion(tuple(range(tokens)), np.zeros(tokens, np.float32), each, "text", "stop")


@dataclass
class Watch:
    """An exporter with a clock that stands still until it is moved."""

    store: ObjectStore
    now: float
    sets: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.exporter = Exporter(self.store, resolve(None, None, {}, list(self.sets)).config, lambda: self.now)
        self.registry = CollectorRegistry()
        self.registry.register(self.exporter)

    def look(self, later: float = 61.0) -> Watch:
        """Refresh after so many seconds."""
        self.now += later
        self.exporter.refresh()
        return self

    def get(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)

    def labels(self, name: str) -> list[dict[str, str]]:
        return [s.labels for metric in self.registry.collect() for s in metric.samples if s.name == name]


@pytest.fixture
def watch(store: ObjectStore) -> Callable[..., Watch]:
    """Make an exporter of the store and let it look once; `later` is seconds after the newest object."""

    def watch(*sets: str, later: float = 0.0) -> Watch:
        newest = max((info.modified for info in store.list("")), default=1e9)
        return Watch(store, newest + later, sets).look(0.0)

    return watch


class TickingClock:
    """Moves by a second each time it is read."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


@dataclass
class Office:
    """People with keys, and candidates that pass the gate."""

    store: ObjectStore
    clock: TickingClock = field(default_factory=TickingClock)
    config: Config = field(default_factory=Config)

    def __post_init__(self) -> None:
        roles: dict[str, tuple[Role, ...]] = {
            "root": (),
            "rita": ("requester",),
            "anna": ("approver",),
            "lena": ("releaser",),
            "otto": ("operator",),
        }
        self.people = {name: Signer(name, Ed25519PrivateKey.generate()) for name in roles}
        for name, given in roles.items():
            enrol(self.store, self.people[name], given, self.clock, self.people["root"])
        self.base = artifacts.write(self.store, "checkpoints", {"model.safetensors": b"base"}, {"model": "tiny"})
        self.corpus = artifacts.write(
            self.store, "datasets/facts", {"segments-00000.parquet": b"text"}, {"name": "facts"}
        )

    def evaluate(self, weights: str, low: float = 0.05, high: float = 0.2, contaminated: float = 0.0) -> str:
        """The stored report of a candidate of these weights."""
        origin = {"base": self.base, "corpus": self.corpus, "run": f"run-{weights}", "iteration": 1, "code": "0.1.0"}
        candidate = artifacts.write(self.store, "checkpoints", {"model.safetensors": weights.encode()}, origin)
        healthy = {"iteration": 1, "warnings": [], "learner": {"loss": 0.5, "grad_norm": 1.0}}
        self.store.put(f"runs/run-{weights}/iterations/000001.json", json.dumps(healthy).encode())
        hits = round(100 * contaminated)
        report: dict[str, Any] = {
            **{name: origin[name] for name in ("base", "corpus", "run")},
            "candidate": candidate,
            "suites": {"cloze": suite(low, high), "reasoning": suite(-0.03, 0.02)},
            "contamination": {
                "n_gram": 13,
                "items": 100,
                "testable": 100,
                "hits": hits,
                "share": contaminated,
                "examples": [],
            },
            "items": {},
            "settings": {
                "seed": 1,
                "bootstrap_samples": 100,
                "max_tokens": 16,
                "template": "short",
                "few_shot": 0,
                "min_improvement": 0.0,
                "regression_margin": 0.05,
            },
        }
        return artifacts.write_json(self.store, "evaluations", report)

    def ask(self, weights: str) -> str:
        """A request that nobody has approved."""
        judged = gate.judge(self.store, self.evaluate(weights), self.config.promotion)
        decision = gate.record(self.store, judged, self.people["rita"])
        return request.request(self.store, decision, self.people["rita"], self.clock)

    def approve(self, ref: str, *, reject: bool = False) -> None:
        approval.approve(self.store, ref, self.people["anna"], 168, self.clock, reject=reject)

    def promote(self, ref: str) -> str:
        live = release.promote(self.store, ref, self.people["lena"], self.config.promotion, self.clock).live
        assert live
        return live


def suite(low: float, high: float) -> dict[str, Any]:
    rate = {"low": 0.4, "high": 0.6, "unanswered": 0, "truncated": 0}
    return {
        "n": 240,
        "metric": "accuracy",
        "kind": "cloze",
        "clusters": 60,
        "candidate": {"rate": 0.5, "correct": 120, **rate},
        "base": {"rate": 0.4, "correct": 96, **rate},
        "difference": {"value": (low + high) / 2, "low": low, "high": high, "lower_bound": low, "method": "bootstrap"},
        "discordant": 30,
        "mcnemar_p": 0.01,
        "margin": 0.05,
        "verdict": "better" if low > 0 else "not_worse",
        "reason": "",
    }


@pytest.fixture
def office(store: ObjectStore) -> Office:
    return Office(store)


@pytest.fixture
def turn() -> type[Turn]:
    return Turn
