"""A store as a run leaves it, the people of an organisation, and browsers of theirs."""

from __future__ import annotations

import io
import json
import random
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fastapi.testclient import TestClient

from spice.config import Config, CorpusConfig, EvaluationConfig, PromotionConfig, RecipeConfig
from spice.console import login
from spice.console.app import create_app
from spice.console.context import Console, open_console
from spice.console.signers import Signers
from spice.corpus import dataset
from spice.corpus.ingest import ingest
from spice.evaluation import contamination, suites
from spice.evaluation.items import Item, ItemResult, Results
from spice.evaluation.report import compare, save
from spice.promotion import gate
from spice.promotion import request as requests
from spice.reporting import run_info
from spice.store import artifacts
from spice.store.base import ObjectStore
from spice.store.folder import FolderStore
from spice.trust.enrol import enrol
from spice.trust.keys import create_signer, load_signer
from spice.trust.principal import Role
from spice.trust.signing import Signer

HOST = "127.0.0.1:8080"
ORIGIN = f"http://{HOST}"
RUN = "demo"
DOCUMENTS = Path(__file__).parents[2] / "examples" / "factbook"
PEOPLE: dict[str, tuple[Role, ...]] = {
    "rita": ("requester",),
    "anna": ("approver",),
    "lena": ("releaser",),
    "otto": ("operator",),
    "olga": ("operator",),
    "console": ("delegate", "approver", "releaser", "operator"),
}


class Clock:
    """The time of day and the stopwatch of a test: both stand still unless they are moved."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def seconds(self) -> float:
        return self.now.timestamp()

    def advance(self, **by: float) -> None:
        self.now += timedelta(**by)


@dataclass
class World:
    """A store with people, and a console over it."""

    store: ObjectStore
    home: Path
    config: Config
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self, **changes: object) -> None:
        """A new console process, perhaps with other settings of its own."""
        settings = self.config.console.model_copy(update=changes)
        self.config = self.config.model_copy(update={"console": settings})
        signers = Signers(self.store, self.home / "keys", settings.key)
        self.console: Console = open_console(
            self.store, self.config, signers, self.clock, HOST, stopwatch=self.clock.seconds
        )
        self.app = create_app(self.console)

    def signer(self, name: str) -> Signer:
        return load_signer(name, self.home / "people")

    def requested(self) -> str:
        """Rita asks to release what the run made."""
        info = run_info(self.store, RUN)
        assert info.evaluation
        decision = gate.record(
            self.store, gate.judge(self.store, info.evaluation, self.config.promotion), self.signer("rita")
        )
        return requests.request(self.store, decision, self.signer("rita"), self.clock)

    def browser(self, name: str | None = None, address: str = "127.0.0.1") -> Browser:
        """A browser, logged in as `name`."""
        browser = Browser(self.app, address)
        if name:
            browser.log_in(self.signer(name))
        return browser


class Browser(TestClient):
    """Sends what browsers send, and fills in forms as they are drawn."""

    def __init__(self, app: object, address: str = "127.0.0.1") -> None:
        super().__init__(app, ORIGIN, client=(address, 50000), follow_redirects=False)  # type: ignore[arg-type]

    def log_in(self, signer: Signer) -> None:
        challenge = self.post("/api/login/challenges").json()["challenge"]
        proof = {"name": signer.name, "audience": ORIGIN, "challenge": challenge}
        proof["signature"] = login.sign(signer, ORIGIN, challenge)
        code = self.post("/api/login/answers", json=proof).json()["code"]
        assert self.submit("/login", page=f"/login?code={code}", code=code).status_code == 303

    def token(self, page: str) -> str:
        found = re.search(r'name="token" value="([0-9a-f]+)"', self.get(page).text)
        assert found, f"no form on {page}"
        return found[1]

    def submit(self, address: str, page: str, **fields: str):
        """Send the form at `address` as it stands on `page`."""
        data = {"token": self.token(page), **fields}
        return self.post(address, data=data, headers={"Origin": ORIGIN, "Sec-Fetch-Site": "same-origin"})


@pytest.fixture(scope="session")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A store with a finished run, and everybody's private keys: made once and copied from then on."""
    folder = tmp_path_factory.mktemp("played")
    home, store = folder / "home", FolderStore(folder / "store")
    root = create_signer("root", home / "people")
    enrol(store, root, (), Clock())
    for name, roles in PEOPLE.items():
        place = home / ("keys" if name == "console" else "people")  # the console's machine holds its own key only
        enrol(store, create_signer(name, place), roles, Clock(), root)
    train(store)
    return store.root, home


def train(store: ObjectStore, name: str = RUN, iterations: int = 12, status: str = "finished") -> dict[str, Any]:
    """What a run leaves: real documents, metrics of every iteration, tasks, a checkpoint and its evaluation."""
    rng = random.Random(7)
    files = sorted(DOCUMENTS.glob("*.md"))[:90]
    corpus = ingest(files, "factbook", store, CorpusConfig(held_out_share=0.4, segment_tokens=160), "words", words).ref
    artifacts.tag(store, "datasets/factbook", "latest", corpus.rpartition("/")[2])
    base = artifacts.write(store, "checkpoints", {"model.safetensors": b"before"}, {"kind": "base", "model": "tiny"})
    origin = {"base": base, "corpus": corpus, "run": name, "iteration": iterations, "code": "0.1.0+8b587c1"}
    after = artifacts.write(store, "checkpoints", {"model.safetensors": b"after"}, {"kind": "checkpoint", **origin})
    segments = dataset.load(store, corpus, "train")
    put(store, f"runs/{name}/config.json", Config().model_dump(mode="json"))
    for iteration in range(1, iterations + 1):
        put(store, f"runs/{name}/iterations/{iteration:06d}.json", metrics(iteration, iterations, rng))
        rows = [task(iteration, segment, rng) for segment in rng.sample(segments, 30)]
        buffer = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(rows), buffer)
        store.put(f"runs/{name}/tasks/{iteration:06d}.parquet", buffer.getvalue())
    info: dict[str, Any] = {"status": status, "corpus": corpus, "base": base, "code": origin["code"]}
    if status == "finished":
        info |= {"checkpoint": after, "evaluation": evaluate(store, corpus, base, after, name, rng)}
    put(store, f"runs/{name}/run.json", info)
    return info


def evaluate(store: ObjectStore, corpus: str, base: str, after: str, run: str, rng: random.Random) -> str:
    """A comparison in which the candidate is better beyond doubt."""
    config = EvaluationConfig(cloze_items=60, reasoning_items=0, bootstrap_samples=500)
    asked = suites.build(config, dataset.load(store, corpus, "held_out"))

    def answers(share: float) -> Results:
        return {suite.name: tuple(answer(item, rng.random() < share, rng) for item in suite.items) for suite in asked}

    report = compare(
        asked,
        answers(0.3),
        answers(0.75),
        contamination.check(suites.unique_items(asked), []),
        candidate=after,
        base=base,
        corpus=corpus,
        run=run,
        evaluation=config,
        promotion=PromotionConfig(),
        recipe=RecipeConfig(),
    )
    return save(store, report)


def answer(item: Item, right: bool, rng: random.Random) -> ItemResult:
    said = item.task.answer if right else rng.choice([one for one in item.task.options if one != item.task.answer])
    return ItemResult(item.id, right, said, f"I think that it is \\boxed{{{said}}}.", False)


def task(iteration: int, segment: dataset.Segment, rng: random.Random) -> dict[str, Any]:
    subject, _, rest = segment.text.partition(" ")
    return {
        "iteration": iteration,
        "document": segment.segment_id,
        "source": segment.source,
        "valid": rng.random() < 0.8,
        "question": f"What does the text say of {segment.title or subject}?",
        "answer": rest[:40],
        "reward": 0.9,
        "pass_rate": 0.5,
        "trained": rng.random() < 0.3,
    }


def metrics(iteration: int, iterations: int, rng: random.Random) -> dict[str, Any]:
    done = iteration / iterations

    def near(value: float) -> float:
        return round(value + rng.uniform(-0.04, 0.04), 4)

    return {
        "iteration": iteration,
        "challenger": {
            "reward_mean": near(0.4 + 0.2 * done),
            "valid_rate": near(0.7 + 0.2 * done),
            "entropy": near(1.2),
            "tokens_mean": near(48),
            "truncated": 0.0,
        },
        "reasoner": {
            "reward_mean": near(0.45),
            "pass_rate": near(0.48),
            "entropy": near(0.9 - 0.2 * done),
            "tokens_mean": near(30),
            "truncated": 0.0,
        },
        "tasks": {
            "valid": 24,
            "zero_variance_share": near(0.3),
            "all_wrong_share": near(0.12),
            "all_right_share": near(0.1),
        },
        "audit": {"n": 8, "agree_share": near(0.8)},
        "learner": {"loss": near(0.1), "grad_norm": near(0.6), "logprob_gap_mean": 0.01, "logprob_gap_max": 0.2},
        "health": {"distinct_share": near(0.8)},
        "warnings": ["valid rate fell"] if iteration == 4 else [],
        "seconds": {"total": near(20), "challenge": near(9), "answer": near(6), "update": near(4)},
    }


def words(texts: Sequence[str]) -> list[int]:
    return [len(text.split()) for text in texts]


def put(store: ObjectStore, key: str, value: Any) -> None:
    store.put(key, json.dumps(value).encode())


@pytest.fixture
def world(played: tuple[Path, Path], tmp_path: Path) -> World:
    """A fresh world in a folder."""
    store, home = played
    shutil.copytree(store, tmp_path / "store")
    shutil.copytree(home, tmp_path / "home")
    return World(FolderStore(tmp_path / "store"), tmp_path / "home", Config())
