"""In front of other servers: a second gateway that computes, and one that misbehaves."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from spice.serving.upstream import KEY_VARIABLE
from spice.store.folder import FolderStore

pytestmark = [pytest.mark.integration, pytest.mark.torch]


@pytest.fixture
def computing(world, tiny_folder, tmp_path, start):
    """A gateway that computes the release "one" and follows a store of its own, where no switch is engaged."""
    other = type(world)(FolderStore(tmp_path / "other"), tiny_folder)
    other.released("one")
    key = other.key()
    gateway = start(other.store, key)
    gateway.until(gateway.ready)
    gateway.until(lambda: gateway.ask().status_code == 200)
    return gateway, key


@pytest.fixture
def proxy(world, serve, computing, monkeypatch: pytest.MonkeyPatch):
    gateway, key = computing
    monkeypatch.setenv(KEY_VARIABLE, key)
    world.released("one")
    return serve(engine="upstream", upstreams=("http://127.0.0.1:9", f"{gateway.url}/v1"))


def test_an_upstream_server_answers_as_if_it_were_embedded(proxy, computing) -> None:
    body = {"temperature": 0, "max_tokens": 6}
    through, direct = proxy.ask(**body), computing[0].ask(**body)
    assert through.headers["x-spice-release"] == direct.headers["x-spice-release"]
    assert through.json()["choices"] == direct.json()["choices"]
    assert through.json()["usage"] == direct.json()["usage"]
    streamed = proxy.ask(**body, stream=True)
    pieces = [json.loads(line[6:]) for line in streamed.text.split("\n\n") if line.startswith("data: {")]
    assert "".join(piece["choices"][0]["text"] for piece in pieces) == direct.json()["choices"][0]["text"]
    assert streamed.text.endswith("data: [DONE]\n\n")


def test_what_the_upstream_server_refuses_is_refused_in_its_words(proxy) -> None:
    response = proxy.ask(logprobs=5)
    assert (response.status_code, response.json()["error"]["code"]) == (400, "invalid_request")
    assert "logprobs" in response.json()["error"]["message"]


def test_streams_of_an_upstream_server_are_cut_although_it_goes_on(world, proxy, computing) -> None:
    body = {"model": "spice", "prompt": "a", "stream": True, "ignore_eos": True}
    with proxy.client.stream("POST", "/v1/completions", json=body) as stream:
        lines = stream.iter_lines()
        next(lines)
        world.engage()
        *_, last = [line for line in lines if line]
    assert '"code":"release_revoked"' in last
    assert computing[0].ask().status_code == 200
    assert proxy.ask().status_code == 503


def test_without_a_server_that_holds_the_live_release_nothing_is_answered(world, start, computing) -> None:
    world.released("another")
    gateway = start(world.store, engine="upstream", upstreams=(computing[0].url,))
    gateway.until(lambda: gateway.metric('spice_gateway_release_loads_total{outcome="refused"}'))
    assert gateway.ask().status_code == 503


@pytest.fixture
def bad(world) -> Iterator[str]:
    """A server that says it holds the release, and does with a request what its prompt says."""
    ref = world.released("one")
    piece = {"id": "x", "object": "text_completion", "created": 0, "model": ref}
    choice = {"index": 0, "text": "a", "finish_reason": None, "logprobs": None}

    async def models(request: Request) -> Response:
        return JSONResponse({"object": "list", "data": [{"id": ref}]})

    async def completions(request: Request) -> Response:
        what = (await request.json())["prompt"]
        if what.isdecimal():
            return JSONResponse({"error": {"message": "its own words"}}, int(what))
        if what == "text":
            return PlainTextResponse("no JSON")
        if what == "other":
            return JSONResponse({**piece, "model": "other", "choices": []})
        early = [json.dumps({**piece, "choices": [choice]})]
        if what == "broken":
            early.append(json.dumps({"error": {"message": "out of memory"}}))
        return StreamingResponse((f"data: {event}\n\n" for event in early), media_type="text/event-stream")

    routes = [Route("/v1/models", models), Route("/v1/completions", completions, methods=["POST"])]
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(Starlette(routes=routes), log_config=None))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join()


@pytest.mark.parametrize(
    ("prompt", "status", "says"),
    [
        ("400", 400, "its own words"),
        ("422", 400, "its own words"),
        ("401", 502, "status 401"),
        ("500", 502, "status 500"),
        ("text", 502, "not JSON"),
        ("other", 502, "another model"),
    ],
)
def test_faults_of_an_upstream_server_are_told_from_the_clients(serve, bad: str, prompt, status, says: str) -> None:
    response = serve(engine="upstream", upstreams=(bad,)).ask(prompt=prompt)
    assert response.status_code == status
    assert says in response.json()["error"]["message"]


@pytest.mark.parametrize(("prompt", "says"), [("early", "ended its answer early"), ("broken", "reported an error")])
def test_a_stream_that_an_upstream_server_does_not_finish_ends_with_an_error(serve, bad: str, prompt, says) -> None:
    text = serve(engine="upstream", upstreams=(bad,)).ask(prompt=prompt, stream=True).text
    assert says in text
    assert "[DONE]" not in text
