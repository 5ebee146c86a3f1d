"""A store with releases of the tiny model, and gateways on loopback that follow it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from spice.config import Config, ModelConfig, ServingConfig
from spice.promotion import checkpoint, release, switch
from spice.promotion.log import ReleaseLog
from spice.serving import apikeys
from spice.store import artifacts
from spice.store.base import ObjectStore
from spice.store.folder import FolderStore
from spice.trust.enrol import enrol
from spice.trust.ledger import Draft
from spice.trust.signing import Signer

pytest.importorskip("torch")

from spice.serving.server import server

PEOPLE = {"root": (), "lena": ("releaser",), "otto": ("operator",), "olga": ("operator",), "rita": ("requester",)}
READY_SECONDS = 240.0  # attempts to load are up to a minute apart


def clock() -> datetime:
    return datetime.now(UTC)


@dataclass
class World:
    """A store, its people, and the tiny model to be released in it."""

    store: ObjectStore
    model: Path
    people: dict[str, Signer] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, roles in PEOPLE.items() if not self.people else ():
            self.people[name] = Signer(name, Ed25519PrivateKey.generate())
            enrol(self.store, self.people[name], roles, clock, self.people["root"])

    def now(self) -> datetime:
        """The clock of everybody here."""
        return clock()

    def checkpoint(self, name: str) -> str:
        """A checkpoint of its own digest, with the tiny model's weights."""
        files = {path.name: path for path in self.model.iterdir()}
        return artifacts.write(self.store, "checkpoints", files, {"name": name})

    def released(self, name: str) -> str:
        """A live checkpoint. The entry is what `promote` would enter; gate and approvals have tests of their own."""
        ref = self.checkpoint(name)
        checkpoint.sign(self.store, ref, self.people["rita"], clock)
        self.enter(name, ref)
        return ref

    def enter(self, name: str, ref: str) -> None:
        """The entry of a release, and the pointer."""
        log = ReleaseLog(self.store)
        body = {"request": f"requests/{name}", "live": ref}
        log.append(self.people["lena"], clock, lambda: Draft("release", ref, body))
        log.project()

    def engage(self) -> None:
        switch.engage(self.store, self.people["otto"], "it lies", clock)

    def let_go(self) -> None:
        for name in ("otto", "olga"):
            switch.release(self.store, self.people[name], "mended", clock)

    def roll_back(self) -> None:
        release.rollback(self.store, self.people["lena"], clock)

    def key(self, *scopes: str, days: float | None = None) -> str:
        """An API key."""
        return apikeys.add(self.store, self.people["root"], "tests", scopes or apikeys.SCOPES, clock, days)[1]


@dataclass
class Gateway:
    """A running gateway and a client of it."""

    url: str
    client: httpx.Client
    stop: Callable[[], None]

    def until(self, holds: Callable[[], Any]) -> Any:
        """Wait for something that another thread is about to do."""
        deadline = time.monotonic() + READY_SECONDS
        while not (found := holds()):
            assert time.monotonic() < deadline, "it did not happen"
            time.sleep(0.01)
        return found

    def ready(self) -> bool:
        return self.client.get("/readyz").status_code == 200

    def release(self) -> str | None:
        """Which release answers now, if any."""
        response = self.ask()
        return f"checkpoints/{response.headers['x-spice-release']}" if response.status_code == 200 else None

    def ask(self, **changes: Any) -> httpx.Response:
        body = {"model": "spice", "prompt": "Which river?", "max_tokens": 1, **changes}
        return self.client.post("/v1/completions", json=body)

    def metric(self, line: str) -> float:
        """The value of one line of the metrics, 0 if it is not there yet."""
        lines = self.client.get("/metrics").text.splitlines()
        return next((float(each.rpartition(" ")[2]) for each in lines if each.startswith(f"{line} ")), 0.0)


@pytest.fixture
def world(tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setenv("SPICE_CACHE", str(tmp_path / "cache"))
    return World(FolderStore(tmp_path / "store"), tiny_folder)


@pytest.fixture
def start() -> Iterator[Callable[..., Gateway]]:
    """Starts a gateway on a store; `start(store, key, **settings)`. It stops at the end of the test."""
    with ExitStack() as running:

        def start(store: ObjectStore, key: str | None = None, **settings: Any) -> Gateway:
            serving = {
                "require_keys": key is not None,
                "public_metrics": True,
                "poll_seconds": 0.02,
                "blind_seconds": 20,
            }
            config = Config(
                model=ModelConfig(name="tiny", dtype="float32", device="cpu"),
                serving=ServingConfig(**{**serving, **settings}),
            )
            listener = socket.create_server(("127.0.0.1", 0))
            gateway = server(store, config)
            thread = threading.Thread(target=gateway.run, kwargs={"sockets": [listener]}, daemon=True)
            thread.start()
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            headers = {"authorization": f"Bearer {key}"} if key else {}
            client = running.enter_context(httpx.Client(base_url=url, headers=headers, timeout=60))

            def stop() -> None:
                gateway.should_exit = True
                thread.join()

            running.callback(stop)
            return Gateway(url, client, stop)

        yield start


@pytest.fixture
def serve(world: World, start: Callable[..., Gateway]) -> Callable[..., Gateway]:
    """Starts a gateway on the world's store and waits until it answers."""

    def serve(**settings: Any) -> Gateway:
        gateway = start(world.store, **settings)
        gateway.until(gateway.ready)
        return gateway

    return serve
