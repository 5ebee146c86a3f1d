"""What is kept of requests: sketches that drift checks can read, and nothing else."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from spice.config import ServingConfig
from spice.errors import StoreError
from spice.monitoring import samples
from spice.serving.requests import parse
from spice.serving.traffic import Traffic
from spice.store.folder import FolderStore
from spice.text.sketch import sketch

ONE, TWO = (f"checkpoints/{digit * 64}" for digit in "12")
CONFIG = ServingConfig(traffic_share=1.0)


def clock() -> datetime:
    return datetime(2026, 11, 3, 12, 30, tzinfo=UTC)


def traffic(store: FolderStore, config: ServingConfig = CONFIG) -> Traffic:
    return Traffic(store, config, random.Random(5), clock)


def text(prompt: object):
    return parse("text", json.dumps({"model": "spice", "prompt": prompt}).encode(), CONFIG)[0]


def chat(*messages: tuple[str, object]):
    said = [{"role": role, "content": content} for role, content in messages]
    return parse("chat", json.dumps({"model": "spice", "messages": said}).encode(), CONFIG)[0]


def kept(store: FolderStore, prefix: str = "traffic/") -> list[str]:
    return [line for info in store.list(prefix) for line in store.get(info.key).decode().splitlines()]


def test_drift_checks_read_what_was_asked_of_each_release(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    seen = traffic(store)
    for number in range(30):
        seen.note(ONE, text(f"Which river has {number} bridges?"))
    seen.note(TWO, text("And this?"))
    seen.write()
    rng = np.random.default_rng(0)
    assert samples.traffic(store, f"traffic/2026-11/{'1' * 12}/", 100, rng).available == 30
    found = samples.traffic(store, "traffic/2026-11", 100, rng)
    assert found.available == 31
    assert sorted(found.lengths_N)[0] == len("And this?")


def test_no_text_is_kept(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    seen = traffic(store)
    seen.note(ONE, chat(("user", "My secret is swordfish.")))
    seen.write()
    (line,) = kept(store)
    assert "swordfish" not in line
    assert line == sketch("My secret is swordfish.").model_dump_json()


@pytest.mark.parametrize(
    ("request_", "asked"),
    [
        (text("one"), ["one"]),
        (text(["one", "two"]), ["one", "two"]),
        (text([[1, 2], [3]]), []),
        (text(""), []),
        (chat(("system", "Be kind."), ("user", "first"), ("assistant", "yes"), ("user", "last")), ["last"]),
        (
            chat(("user", [{"type": "text", "text": "a"}, {"type": "image_url"}, {"type": "text", "text": "b"}])),
            ["a\nb"],
        ),
        (chat(("system", "Only this.")), []),
        (text("x" * 50_000), ["x" * 20_000]),
    ],
)
def test_what_counts_as_the_question(tmp_path: Path, request_, asked: list[str]) -> None:
    store = FolderStore(tmp_path)
    seen = traffic(store)
    seen.note(ONE, request_)
    seen.write()
    assert sorted(kept(store)) == sorted(sketch(each).model_dump_json() for each in asked)


def test_nothing_is_kept_unless_it_is_asked_for(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    seen = traffic(store, ServingConfig())
    seen.note(ONE, text("one"))
    seen.write()
    assert kept(store) == []


def test_a_share_of_requests(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    seen = traffic(store, ServingConfig(traffic_share=0.25))
    for _ in range(1000):
        seen.note(ONE, text("one"))
    seen.write()
    assert 200 < len(kept(store)) < 300


def test_a_store_that_fails_costs_time_and_then_sketches(tmp_path: Path) -> None:
    class Failing(FolderStore):
        down = True

        def put(self, key: str, data: bytes) -> None:
            if self.down:
                raise StoreError("no route to host")
            super().put(key, data)

    store = Failing(tmp_path)
    seen = traffic(store)
    seen.note(ONE, text("one"))
    seen.write()
    seen.note(ONE, text("two"))
    store.down = False
    seen.write()
    seen.write()
    assert len(kept(store)) == 2


@pytest.mark.integration
@pytest.mark.torch
def test_a_gateway_writes_them_when_it_stops(world, start) -> None:
    world.released("one")
    gateway = start(world.store, traffic_share=1.0)
    gateway.until(gateway.ready)
    before = kept(world.store)
    assert gateway.ask(prompt="Which river?").status_code == 200
    gateway.stop()
    assert before == []
    assert kept(world.store) == [sketch("Which river?").model_dump_json()]
