"""What answers follows the ledger: promotions lose nothing, revocations wait for nothing."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from spice.errors import StoreError
from spice.store.folder import FolderStore

pytestmark = [pytest.mark.integration, pytest.mark.torch]

ENDLESS = {"model": "spice", "prompt": "Which river?", "stream": True, "ignore_eos": True}


class Stream:
    """An endless stream read in a thread of its own."""

    def __init__(self, gateway) -> None:
        self.release = ""
        self.events: list[Any] = []
        self._gateway = gateway
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()
        gateway.until(lambda: self.events or not self.thread.is_alive())

    def _read(self) -> None:
        with self._gateway.client.stream("POST", "/v1/completions", json=ENDLESS) as response:
            self.release = f"checkpoints/{response.headers.get('x-spice-release')}"
            for line in response.iter_lines():
                if line:
                    data = line.removeprefix("data: ")
                    self.events.append(data if data == "[DONE]" else json.loads(data))

    def end(self) -> Any:
        """The last event, once the stream has ended."""
        self.thread.join(timeout=60)
        assert not self.thread.is_alive(), "the stream goes on"
        return self.events[-1]


@contextmanager
def load(gateway, threads: int) -> Iterator[list[tuple[int, str]]]:
    """Requests from several threads all the while; gives status and release of each."""
    answers: list[tuple[int, str]] = []
    stop = threading.Event()

    def ask() -> None:
        with httpx.Client(base_url=gateway.url, timeout=60) as client:
            while not stop.is_set():
                body = {"model": "spice", "prompt": "Which river?", "max_tokens": 3, "ignore_eos": True}
                response = client.post("/v1/completions", json=body)
                answers.append((response.status_code, response.headers.get("x-spice-release", "")))

    workers = [threading.Thread(target=ask) for _ in range(threads)]
    for worker in workers:
        worker.start()
    try:
        yield answers
    finally:
        stop.set()
        for worker in workers:
            worker.join()


def test_nothing_is_answered_before_something_is_live(world, start) -> None:
    gateway = start(world.store)
    assert gateway.client.get("/healthz").status_code == 200
    assert not gateway.ready()
    response = gateway.ask()
    assert (response.status_code, response.json()["error"]["code"]) == (503, "no_release")
    one = world.released("one")
    gateway.until(gateway.ready)
    assert gateway.release() == one


def test_a_promotion_under_load_loses_no_request(world, serve) -> None:
    one = world.released("one")
    gateway = serve()
    with load(gateway, 4) as answers:
        gateway.until(lambda: len(answers) > 10)
        two = world.released("two")
        gateway.until(lambda: gateway.release() == two)
        known = len(answers)
        gateway.until(lambda: len(answers) > known + 10)
    assert {status for status, _ in answers} == {200}
    releases = [f"checkpoints/{release}" for _, release in answers]
    assert set(releases) == {one, two}
    assert releases[-1] == two


def test_a_replaced_release_ends_what_it_has_begun(world, serve) -> None:
    world.released("one")
    gateway = serve(max_tokens=300, keep_warm=0)
    stream = Stream(gateway)
    two = world.released("two")
    gateway.until(lambda: gateway.release() == two)
    assert stream.end() == "[DONE]"


def test_what_a_replaced_release_has_begun_is_cut_when_its_time_is_over(world, serve) -> None:
    world.released("one")
    gateway = serve(drain_seconds=0.1, keep_warm=0)
    stream = Stream(gateway)
    world.released("two")
    assert stream.end()["error"]["code"] == "release_replaced"


def test_engaging_cuts_streams_and_the_release_before_answers(world, serve) -> None:
    one = world.released("one")
    two = world.released("two")
    gateway = serve()
    gateway.until(lambda: gateway.metric('spice_gateway_release_loads_total{outcome="loaded"}') == 2)
    streams = [Stream(gateway) for _ in range(3)]
    assert {stream.release for stream in streams} == {two}
    world.engage()
    assert Counter(stream.end()["error"]["code"] for stream in streams) == {"release_revoked": 3}
    assert gateway.release() == one
    assert gateway.metric("spice_gateway_cut_answers_total") == 3
    assert gateway.metric("spice_gateway_switch_engaged") == 1
    world.let_go()
    assert gateway.ask(model=two).status_code == 404


def test_engaging_with_one_release_leaves_nothing_that_answers(world, serve) -> None:
    world.released("one")
    gateway = serve()
    stream = Stream(gateway)
    world.engage()
    assert stream.end()["error"]["code"] == "release_revoked"
    assert gateway.ask().status_code == 503
    assert not gateway.ready()


def test_an_answer_that_is_not_streamed_is_dropped_too(world, serve) -> None:
    world.released("one")
    gateway = serve()
    answers = []
    asking = threading.Thread(target=lambda: answers.append(gateway.ask(max_tokens=4000, ignore_eos=True)))
    asking.start()
    gateway.until(lambda: gateway.metric("spice_gateway_waiting_requests") == 0 and active(gateway))
    world.engage()
    asking.join()
    assert (answers[0].status_code, answers[0].json()["error"]["code"]) == (503, "release_revoked")


def active(gateway) -> bool:
    lines = gateway.client.get("/metrics").text.splitlines()
    return any(line.startswith("spice_gateway_active_requests{") and line.endswith(" 1.0") for line in lines)


def test_a_flag_that_cannot_be_read_stops_the_live_release(world, serve) -> None:
    world.released("one")
    gateway = serve()
    stream = Stream(gateway)
    world.store.put("switch.json", b"rubbish")
    assert stream.end()["error"]["code"] == "release_revoked"


def test_engaging_works_although_the_ledger_is_broken(world, serve) -> None:
    world.released("one")
    gateway = serve()
    stream = Stream(gateway)
    [*_, last] = world.store.list("ledger/")
    world.store.put(last.key, b"rubbish")
    world.engage()
    assert stream.end()["error"]["code"] == "release_revoked"
    assert gateway.ask().status_code == 503


def test_rolling_back_changes_what_answers_and_cuts_nothing(world, serve) -> None:
    one = world.released("one")
    world.released("two")
    gateway = serve(max_tokens=300)
    stream = Stream(gateway)
    world.roll_back()
    gateway.until(lambda: gateway.release() == one)
    assert stream.end() == "[DONE]"


class Failing(FolderStore):
    """A folder that fails on demand."""

    down = False

    def read(self, key: str) -> tuple[bytes, str] | None:
        if self.down:
            raise StoreError("the store is down")
        return super().read(key)


def test_a_store_that_cannot_be_read_for_too_long_stops_all_answers(world, start) -> None:
    one = world.released("one")
    store = Failing(world.store.root)
    gateway = start(store, blind_seconds=1.0)
    gateway.until(gateway.ready)
    stream = Stream(gateway)
    store.down = True
    assert "error" in stream.end()
    assert gateway.ask().status_code == 503
    assert not gateway.ready()
    store.down = False
    gateway.until(gateway.ready)
    assert gateway.release() == one


def test_a_changed_checkpoint_is_never_served(world, start) -> None:
    one = world.released("one")
    world.store.put(f"{one}/model.safetensors", b"rubbish")
    shutil.rmtree(os.environ["SPICE_CACHE"])  # signing left a verified copy there
    gateway = start(world.store)
    gateway.until(lambda: gateway.metric('spice_gateway_release_loads_total{outcome="refused"}'))
    assert gateway.ask().status_code == 503
    for path in Path(world.model).iterdir():
        world.store.put_file(f"{one}/{path.name}", path)
    gateway.until(gateway.ready)


def test_a_checkpoint_that_nobody_signed_is_never_served(world, start) -> None:
    world.enter("one", world.checkpoint("one"))
    gateway = start(world.store)
    gateway.until(lambda: gateway.metric('spice_gateway_release_loads_total{outcome="refused"}'))
    assert gateway.ask().status_code == 503
    world.released("one more")
    gateway.until(gateway.ready)


def test_while_the_live_release_will_not_load_the_one_before_answers_for_a_limited_time(world, serve) -> None:
    one = world.released("one")
    gateway = serve(load_seconds=2.0)
    two = world.checkpoint("two")
    world.store.put(f"{two}/config.json", b"{}")
    world.enter("two", two)
    gateway.until(lambda: gateway.metric('spice_gateway_release_loads_total{outcome="refused"}'))
    assert gateway.release() in (one, None)
    gateway.until(lambda: gateway.ask().status_code == 503)


@pytest.mark.parametrize(("share", "answers"), [(1.0, "one"), (0.0, "two")])
def test_a_canary_gets_its_share(world, serve, share: float, answers: str) -> None:
    releases = {name: world.released(name) for name in ("one", "two")}
    gateway = serve(canary=releases["one"], canary_share=share)
    gateway.until(lambda: gateway.metric('spice_gateway_release_loads_total{outcome="loaded"}') == 2)
    assert {gateway.release() for _ in range(5)} == {releases[answers]}
    assert gateway.ask(model=releases["one"]).status_code == 200


def test_a_canary_that_was_never_released_or_is_revoked_gets_nothing(world, serve) -> None:
    one = world.released("one")
    never = serve(canary=world.checkpoint("never"), canary_share=1.0)
    assert never.release() == one
    two = world.released("two")
    gateway = serve(canary=two, canary_share=1.0)
    world.engage()
    gateway.until(lambda: gateway.release() == one)
    assert gateway.ask(model=two).status_code == 404
