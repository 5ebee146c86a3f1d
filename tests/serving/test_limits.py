from __future__ import annotations

import socket
import threading
from urllib.parse import urlsplit

import pytest

pytestmark = [pytest.mark.integration, pytest.mark.torch]


@pytest.fixture
def limited(world, serve):
    """Starts a gateway with these limits."""

    def start(**limits):
        world.released("one")
        return serve(**limits)

    return start


def test_a_body_that_is_too_large_is_refused_whether_it_says_so_or_not(limited) -> None:
    gateway = limited(max_request_bytes=1024)
    assert gateway.ask(prompt="a" * 900).status_code == 200
    for content in (b"a" * 2000, iter([b"a" * 1000, b"a" * 1000])):
        response = gateway.client.post("/v1/completions", content=content)
        assert (response.status_code, response.json()["error"]["code"]) == (413, "too_large")


def test_a_body_that_does_not_come_is_not_waited_for(limited) -> None:
    gateway = limited(body_seconds=0.2)
    address = urlsplit(gateway.url)
    with socket.create_connection((address.hostname, address.port), timeout=60) as connection:
        connection.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{")
        assert b" 408 " in connection.recv(1000)


@pytest.mark.parametrize("limits", [{"max_queue": 0}, {"max_queue": 1, "queue_seconds": 0.2}])
def test_too_many_requests_are_refused(limited, limits) -> None:
    gateway = limited(max_concurrent=1, **limits)
    with gateway.client.stream(
        "POST", "/v1/completions", json={"model": "spice", "prompt": "a", "stream": True, "ignore_eos": True}
    ) as stream:
        lines = stream.iter_lines()  # held, since its end would close the connection
        next(lines)
        response = gateway.ask()
        assert (response.status_code, response.json()["error"]["code"]) == (429, "too_busy")
        assert response.headers["retry-after"] == "1"
    gateway.until(lambda: gateway.ask().status_code == 200)


def test_a_request_that_waits_gets_its_turn(limited) -> None:
    gateway = limited(max_concurrent=1, max_queue=8)
    statuses: list[int] = []
    threads = [
        threading.Thread(target=lambda: statuses.append(gateway.ask(max_tokens=5).status_code)) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 6


def test_an_answer_that_takes_too_long_is_ended(limited) -> None:
    gateway = limited(request_seconds=0.3)
    endless = {"max_tokens": 4000, "ignore_eos": True}
    response = gateway.ask(**endless)
    assert (response.status_code, response.json()["error"]["code"]) == (504, "timeout")
    stream = gateway.ask(**endless, stream=True)
    assert '"code":"timeout"' in stream.text.split("\n\n")[-2]


def test_a_client_that_leaves_frees_its_place(limited) -> None:
    gateway = limited(max_concurrent=1, max_queue=0)
    body = {"model": "spice", "prompt": "a", "stream": True, "ignore_eos": True}
    with gateway.client.stream("POST", "/v1/completions", json=body) as stream:
        next(stream.iter_lines())
    gateway.until(lambda: gateway.ask().status_code == 200)


def test_a_client_that_does_not_read_holds_no_revoked_release(world, limited) -> None:
    gateway = limited(keep_warm=0)
    address = urlsplit(gateway.url)
    body = b'{"model":"spice","prompt":"a","stream":true,"ignore_eos":true,"max_tokens":4000}'
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect((address.hostname, address.port))
        head = f"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)
        connection.recv(1)
        world.engage()
        gateway.until(lambda: not any_active(gateway))


def any_active(gateway) -> bool:
    lines = gateway.client.get("/metrics").text.splitlines()
    return any(line.startswith("spice_gateway_active_requests{") and not line.endswith(" 0.0") for line in lines)
