from __future__ import annotations

import asyncio
import itertools
import socket
import threading
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from spice.errors import RefusedError
from spice.promotion import switch
from spice.promotion.log import ReleaseLog
from spice.serving import drillflag
from spice.serving.drill import Drilled, drill
from spice.serving.exercise import Exercise, Trial, percentile
from spice.trust.keyring import Keyring

pytestmark = pytest.mark.torch

MINUTE = timedelta(minutes=1)


def practise(world, url: str, name: str = "otto", **options) -> Drilled:
    async def run() -> Drilled:
        async with httpx.AsyncClient(base_url=url, timeout=60) as client:
            settings = {"trials": 2, "streams": 3, "limit": 30.0, "report": lambda done, total: None, **options}
            return await drill(world.store, world.people[name], world.now, client, "spice", **settings)

    return asyncio.run(run())


def entries(world) -> list[tuple[str, dict]]:
    found = []
    ReleaseLog(world.store, lambda entry: found.append((entry.action, entry.body)))
    return [entry for entry in found if entry[0].startswith("drill")]


@pytest.mark.integration
def test_a_drill_cuts_the_streams_and_leaves_everything_as_it_was(world, serve) -> None:
    live = world.released("one")
    gateway = serve()
    found = practise(world, gateway.url)
    assert (found.release, len(found.trials)) == (live, 2)
    for trial in found.trials:
        assert (trial.streams, trial.told) == (3, 3)
        assert 0 < trial.seconds < 30
        assert trial.restored > 0
    assert found.p50 <= found.p99 <= found.longest
    assert gateway.release() == live
    assert not switch.status(world.store).engaged
    assert live not in ReleaseLog(world.store).state.revoked
    [(begin, told), (end, figures)] = entries(world)
    assert (begin, end) == ("drill.start", "drill.end")
    assert told == {"trials": 2, "streams": 3}
    assert (figures["outcome"], figures["trials"], figures["streams_cut"]) == ("stopped", 2, 6)
    assert figures["seconds"] == round(found.p99, 3)


@pytest.mark.integration
def test_a_stream_that_ends_by_itself_is_begun_again_until_the_engagement() -> None:
    """It would show nothing: its last piece came before the flag was written."""
    stopped, streams = threading.Event(), itertools.count()
    piece = b'data: {"choices": []}\n\n'

    async def lasting() -> AsyncIterator[bytes]:
        while not stopped.is_set():
            yield piece
            await asyncio.sleep(0.005)
        yield b'data: {"error": {"code": "release_revoked"}}\n\n'

    async def answer(request: Request) -> Response:
        headers = {"x-spice-release": "one"}
        if not (await request.json()).get("stream"):
            return Response(status_code=503) if stopped.is_set() else Response(headers=headers)
        if next(streams) == 0:
            return Response(piece + b"data: [DONE]\n\n", headers=headers)
        return StreamingResponse(lasting(), headers=headers)

    async def run(url: str) -> Trial:
        async with httpx.AsyncClient(base_url=url, timeout=60) as client:
            return await Exercise(client, "spice", "one", 30.0).trial(3, stopped.set, stopped.clear)

    app = Starlette(routes=[Route("/v1/completions", answer, methods=["POST"])])
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        found = asyncio.run(run(f"http://127.0.0.1:{listener.getsockname()[1]}"))
        server.should_exit = True
        thread.join()
    assert (found.streams, found.told) == (3, 3)
    assert next(streams) == 4


@pytest.mark.integration
def test_in_a_drill_the_release_before_answers_as_in_earnest(world, serve) -> None:
    one = world.released("one")
    two = world.released("two")
    gateway = serve()
    gateway.until(lambda: gateway.metric('spice_gateway_release_loads_total{outcome="loaded"}') == 2)
    drillflag.begin(world.store, world.people["otto"], world.now(), MINUTE)
    gateway.until(lambda: gateway.release() == one)
    drillflag.end(world.store, world.people["otto"], world.now())
    gateway.until(lambda: gateway.release() == two)


@pytest.mark.integration
def test_a_gateway_that_follows_another_store_fails_the_drill(world, serve, tmp_path, tiny_folder) -> None:
    elsewhere = type(world)(type(world.store)(tmp_path / "other"), tiny_folder)
    for each in (world, elsewhere):
        each.released("one")
    gateway = serve()
    with pytest.raises(RefusedError, match="still answers"):
        practise(elsewhere, gateway.url, limit=0.5)
    assert "still answers" in entries(elsewhere)[-1][1]["outcome"]
    assert not drillflag.active(elsewhere.store, Keyring(elsewhere.store), elsewhere.now())


def test_a_drill_needs_an_operator_something_live_and_a_free_switch(world) -> None:
    with pytest.raises(RefusedError, match="Nothing is live"):
        practise(world, "http://127.0.0.1:9")
    world.released("one")
    world.released("two")
    with pytest.raises(RefusedError, match="role operator"):
        practise(world, "http://127.0.0.1:9", "lena")
    world.engage()
    with pytest.raises(RefusedError, match="engaged"):
        practise(world, "http://127.0.0.1:9")
    assert entries(world) == []


def test_a_flag_counts_for_its_time_and_only_from_an_operator(world) -> None:
    keyring, now = Keyring(world.store), world.now()

    def active(after: timedelta = timedelta()) -> bool:
        return drillflag.active(world.store, keyring, now + after)

    assert not active()
    with pytest.raises(RefusedError, match="role operator"):
        drillflag.begin(world.store, world.people["lena"], now, MINUTE)
    drillflag.begin(world.store, world.people["otto"], now, timedelta(hours=1))
    assert active()
    assert active(timedelta(seconds=119))
    assert not active(drillflag.LONGEST)
    with pytest.raises(RefusedError, match="Another drill"):
        drillflag.begin(world.store, world.people["olga"], now, MINUTE)
    data = world.store.get(drillflag.KEY)
    for damage in (data.replace(b"otto", b"olga"), data[:-2], b"", b"\xff", b"{}"):
        world.store.put(drillflag.KEY, damage)
        assert not active()
    world.store.put(drillflag.KEY, data)
    drillflag.end(world.store, world.people["olga"], now)
    assert not active()


@pytest.mark.parametrize(
    ("values", "share", "expected"), [([3, 1, 2], 0.5, 2), ([1], 0.99, 1), (list(range(1, 201)), 0.99, 198)]
)
def test_a_percentile_is_one_of_the_values(values: list[float], share: float, expected: float) -> None:
    assert percentile(values, share) == expected
