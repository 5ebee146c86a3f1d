"""How fast the gateway obeys: drills and real engagements under streams, and promotions under load.

    python bench/gateway.py [--trials 200] [--engagements 30] [--promotions 20] [--streams 20] [--out FILE]

Starts `spice serve` with the tiny model as a process of its own, on a store in a
temporary folder, and is its clients. Times are those that the clients see, from
before the flag is written until the last piece of an answer of the revoked
release arrives.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from workload import machine

from spice.models import tiny
from spice.promotion import checkpoint, switch
from spice.promotion.log import ReleaseLog
from spice.serving.drill import drill
from spice.serving.exercise import Exercise, Trial, percentile
from spice.store import artifacts
from spice.store.folder import FolderStore
from spice.trust.enrol import enrol
from spice.trust.ledger import Draft
from spice.trust.signing import Signer

PEOPLE = {"root": (), "rita": ("requester",), "lena": ("releaser",), "otto": ("operator",), "olga": ("operator",)}


def now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Store:
    """A store with people and as many releases as are asked for."""

    folder: Path
    model: Path
    people: dict[str, Signer] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.store = FolderStore(self.folder)
        for name, roles in PEOPLE.items():
            self.people[name] = Signer(name, Ed25519PrivateKey.generate())
            enrol(self.store, self.people[name], roles, now, self.people["root"])

    def checkpoint(self, name: str) -> str:
        """The tiny model under a digest of its own."""
        files = {path.name: path for path in self.model.iterdir()}
        return artifacts.write(self.store, "checkpoints", files, {"name": name})

    def release(self, ref: str) -> None:
        """What `promote` enters once gate and approvals are verified."""
        checkpoint.sign(self.store, ref, self.people["rita"], now)
        log = ReleaseLog(self.store)
        body = {"request": f"requests/{ref}", "live": ref}
        log.append(self.people["lena"], now, lambda: Draft("release", ref, body))
        log.project()

    def engage(self) -> None:
        """For real: the live release never comes back."""
        switch.engage(self.store, self.people["otto"], "bench", now)

    def let_go(self) -> None:
        """Both operators agree."""
        for name in ("otto", "olga"):
            switch.release(self.store, self.people[name], "bench", now)


@dataclass
class Load:
    """Requests of many clients at once; every second one is a stream."""

    client: httpx.AsyncClient
    statuses: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)

    async def run(self, stop: asyncio.Event, streamed: bool) -> None:
        """One client, which asks until it is told to stop."""
        body = {"model": "spice", "prompt": "Which river?", "max_tokens": 20, "ignore_eos": True, "stream": streamed}
        while not stop.is_set():
            began = time.monotonic()
            try:
                response = await self.client.post("v1/completions", json=body)
                whole = not streamed or response.text.endswith("data: [DONE]\n\n")
                status = str(response.status_code) if whole else "cut"
            except httpx.HTTPError as error:
                status = type(error).__name__
            self.statuses[status] += 1
            self.seconds.append(time.monotonic() - began)


@contextmanager
def gateway(store: Store, folder: Path) -> Iterator[str]:
    """`spice serve` in a process of its own; gives its address."""
    settings = {"require_keys": "false", "max_concurrent": "64", "batch_sequences": "64"}
    sets = [word for name, value in settings.items() for word in ("--set", f"serving.{name}={value}")]
    command = [sys.executable, "-m", "spice", "serve", "--preset", "smoke", "--store", store.store.url, "--port", "0"]
    with (folder / "gateway.log").open("w+") as log:
        environ = {**os.environ, "SPICE_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
        process = subprocess.Popen([*command, *sets], stderr=log, stdout=log, env=environ)
        try:
            yield _address(folder / "gateway.log", process)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()


async def engagements(store: Store, client: httpx.AsyncClient, trials: int, streams: int) -> list[Trial]:
    """The switch in earnest: each time another release is revoked, two operators let go, and the next goes live."""
    found = []
    refs = [store.checkpoint(f"engagement-{number}") for number in range(trials + 1)]
    store.release(refs[0])
    for ref, following in pairwise(refs):
        await _answers(client, ref)

        def restore(ref: str = following) -> None:
            store.let_go()
            store.release(ref)

        exercise = Exercise(client, "spice", ref.rpartition("/")[2], 30.0)
        found.append(await exercise.trial(streams, store.engage, restore, following.rpartition("/")[2]))
        print(f"engagement {len(found)}/{trials}: {found[-1].seconds:.3f} s", file=sys.stderr)
    return found


async def promotions(store: Store, client: httpx.AsyncClient, number: int, clients: int) -> Load:
    """Release after release goes live while clients ask."""
    load, stop = Load(client), asyncio.Event()
    tasks = [asyncio.create_task(load.run(stop, streamed=bool(each % 2))) for each in range(clients)]
    for each in range(number):
        ref = store.checkpoint(f"promotion-{each}")
        store.release(ref)
        await _answers(client, ref)
    stop.set()
    await asyncio.gather(*tasks)
    return load


async def measure(store: Store, url: str, options: argparse.Namespace) -> list[str]:
    """All rows of the table."""
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=url, timeout=120, limits=limits) as client:
        first = store.checkpoint("first")
        store.release(first)
        await _answers(client, first)
        drilled = await drill(
            store.store,
            store.people["otto"],
            now,
            client,
            "spice",
            trials=options.trials,
            streams=options.streams,
            limit=30.0,
            report=lambda done, total: print(f"drill {done}/{total}", file=sys.stderr),
        )
        real = await engagements(store, client, options.engagements, options.streams)
        load = await promotions(store, client, options.promotions, options.streams)
    failed = load.statuses.total() - load.statuses["200"]
    return [
        "| what | trials | streams cut | median | p99 | longest |",
        "|---|---|---|---|---|---|",
        _row("drill", drilled.trials),
        _row("engaging in earnest", real),
        "",
        "| promotions under load | requests | failed | median | p99 | longest |",
        "|---|---|---|---|---|---|",
        f"| {options.promotions}, {options.streams} clients | {load.statuses.total()} | {failed} | "
        + " | ".join(f"{value:.3f} s" for value in _spread(load.seconds))
        + " |",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("trials", 200), ("engagements", 30), ("promotions", 20), ("streams", 20)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        (folder / "tiny").mkdir()
        tiny.build(folder / "tiny")
        store = Store(folder / "store", folder / "tiny")
        with gateway(store, folder) as url:
            rows = asyncio.run(measure(store, url, options))
    lines = [
        "# Gateway",
        "",
        f"`python bench/gateway.py --trials {options.trials} --engagements {options.engagements} "
        f"--promotions {options.promotions} --streams {options.streams}` on {now():%Y-%m-%d}",
        "",
        *rows,
        "",
        f"Tiny model, store in a folder, gateway in a process of its own and all clients in another, on {machine()}.",
        "Seconds from before the flag is written until the last piece of the revoked release reaches a client, the",
        "longest over all streams and new requests of a trial.",
    ]
    text = "\n".join(lines) + "\n"
    print(text)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(text)


async def _answers(client: httpx.AsyncClient, ref: str) -> None:
    """Wait until the release answers."""
    deadline = time.monotonic() + 120
    while True:
        response = await client.post("v1/completions", json={"model": "spice", "prompt": "a", "max_tokens": 1})
        if response.headers.get("x-spice-release") == ref.rpartition("/")[2]:
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"{ref} does not answer: {response.status_code} {response.text}")
        await asyncio.sleep(0.02)


def _address(log: Path, process: subprocess.Popen[bytes]) -> str:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        words = log.read_text().split()
        if found := [word for word in words if word.startswith("http://")]:
            return found[0].removesuffix("/v1")
        time.sleep(0.1)
    raise SystemExit(f"The gateway did not start:\n{log.read_text()}")


def _row(what: str, trials: Sequence[Trial]) -> str:
    spread = " | ".join(f"{value:.3f} s" for value in _spread([trial.seconds for trial in trials]))
    return f"| {what} | {len(trials)} | {sum(trial.streams for trial in trials)} | {spread} |"


def _spread(values: Sequence[float]) -> tuple[float, float, float]:
    return percentile(values, 0.5), percentile(values, 0.99), max(values)


if __name__ == "__main__":
    main()
