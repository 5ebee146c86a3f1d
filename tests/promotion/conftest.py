"""A store with people's keys, a trained candidate and its evaluation: everything a release needs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from spice.config import PromotionConfig
from spice.promotion import approval, gate, release, request
from spice.promotion.log import ReleaseLog
from spice.store import artifacts
from spice.store.base import ObjectStore
from spice.store.folder import FolderStore
from spice.trust.enrol import enrol
from spice.trust.keyring import Role
from spice.trust.ledger import Entry
from spice.trust.signing import Signer

PEOPLE: dict[str, tuple[Role, ...]] = {
    "root": (),
    "rita": ("requester",),
    "anna": ("approver",),
    "boris": ("approver",),
    "lena": ("releaser",),
    "otto": ("operator",),
    "olga": ("operator",),
}


class TickingClock:
    """A clock that moves by a second each time it is read."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


@dataclass
class World:
    """The store and everybody in it."""

    store: ObjectStore
    config: PromotionConfig = field(default_factory=PromotionConfig)
    clock: TickingClock = field(default_factory=TickingClock)
    people: dict[str, Signer] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, roles in PEOPLE.items() if not self.people else ():
            self.people[name] = Signer(name, Ed25519PrivateKey.generate())
            enrol(self.store, self.people[name], roles, self.clock, self.people["root"])
        self.corpus = artifacts.write(
            self.store, "datasets/facts", {"segments-00000.parquet": b"text"}, {"name": "facts"}
        )
        self.base = artifacts.write(self.store, "checkpoints", {"model.safetensors": b"base"}, {"model": "tiny"})

    def evaluation(self, weights: str = "one", **changes: Any) -> str:
        """The report of a candidate with these weights, which passes the gate unless `changes` say otherwise."""
        run = f"run-{weights}"
        candidate = artifacts.write(
            self.store,
            "checkpoints",
            {"model.safetensors": weights.encode()},
            {"base": self.base, "corpus": self.corpus, "run": run, "iteration": 3, "code": "0.1.0"},
        )
        metrics = {"iteration": 1, "warnings": ["valid rate fell"], "learner": {"loss": 0.5, "grad_norm": 1.0}}
        self.store.put(f"runs/{run}/iterations/000001.json", json.dumps(metrics).encode())
        report = {
            "candidate": candidate,
            "base": self.base,
            "corpus": self.corpus,
            "run": run,
            "suites": {"cloze": self.suite(0.05, 0.2), "reasoning": self.suite(-0.03, 0.02)},
            "contamination": {"n_gram": 13, "items": 300, "testable": 290, "hits": 0, "share": 0.0, "examples": []},
            "items": {},
            **changes,
        }
        return artifacts.write_json(self.store, "evaluations", report)

    def suite(self, low: float, high: float) -> dict[str, Any]:
        """Figures of one suite with this interval of the difference."""
        return {
            "n": 240,
            "metric": "accuracy",
            "kind": "cloze",
            "candidate": {"rate": 0.5, "low": 0.4, "high": 0.6, "correct": 120},
            "base": {"rate": 0.4, "low": 0.3, "high": 0.5, "correct": 96},
            "difference": {
                "value": (low + high) / 2,
                "low": low,
                "high": high,
                "lower_bound": low,
                "method": "clustered bootstrap",
            },
            "mcnemar_p": 0.01,
            "clusters": 60,
            "verdict": "better",
        }

    def entries(self) -> list[Entry]:
        """The verified ledger, without the registration of keys."""
        found: list[Entry] = []
        ReleaseLog(self.store, found.append)
        return [entry for entry in found if entry.action != "keys.add"]

    def promote(self, ref: str) -> release.Status:
        """Lena promotes."""
        return release.promote(self.store, ref, self.people["lena"], self.config, self.clock)

    def released(self, weights: str) -> str:
        """The whole way to a live checkpoint."""
        ref = self.requested(weights)
        self.approve(ref)
        live = self.promote(ref).live
        assert live is not None
        return live

    def pointer(self) -> dict[str, Any]:
        """What `release.json` says."""
        return dict(json.loads(self.store.get("release.json")))

    def decision(self, evaluation: str) -> str:
        """The signed decision on a report."""
        return gate.record(self.store, gate.judge(self.store, evaluation, self.config), self.people["rita"], self.clock)

    def requested(self, weights: str = "one") -> str:
        """A request that nobody has approved."""
        return request.request(self.store, self.decision(self.evaluation(weights)), self.people["rita"], self.clock)

    def approve(self, ref: str, name: str = "anna", **options: Any) -> approval.Approval:
        """One person's word."""
        return approval.approve(self.store, ref, self.people[name], self.config.approval_hours, self.clock, **options)

    def candidate(self, weights: str = "one") -> str:
        """The checkpoint of `evaluation(weights)`."""
        return str(artifacts.read_json(self.store, self.evaluation(weights))["candidate"])


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoints that are signed are copied here."""
    monkeypatch.setenv("SPICE_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="session")
def founded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Signer]]:
    """A folder with a store in which everybody is registered, made once and copied from then on."""
    folder = tmp_path_factory.mktemp("founded") / "store"
    return folder, World(FolderStore(folder)).people


@pytest.fixture
def world(tmp_path: Path, founded: tuple[Path, dict[str, Signer]]) -> World:
    """A fresh world in a folder."""
    shutil.copytree(founded[0], tmp_path / "store")
    return World(FolderStore(tmp_path / "store"), people=founded[1])


@pytest.fixture
def world_in() -> Callable[[ObjectStore], World]:
    """Makes one in a given store."""
    return World
