"""An answer of the service that ends too early is never taken for a whole one, wherever it ends."""

from __future__ import annotations

import hashlib
import socketserver
import threading
from collections.abc import Iterator

import pytest

from spice.config import StoreConfig
from spice.errors import StoreError
from spice.store import open_store

BODY = b"whole"
ETAG = hashlib.md5(BODY, usedforsecurity=False).hexdigest()
FOUND = (
    b"HTTP/1.1 200 OK\r\nServer: test\r\nLast-Modified: Sun, 01 Mar 2026 12:00:00 GMT\r\n"
    b'ETag: "%b"\r\nContent-Length: %d\r\n\r\n' % (ETAG.encode(), len(BODY))
)
WRITTEN = b'HTTP/1.1 200 OK\r\nServer: test\r\nContent-Length: 0\r\nETag: "%b"\r\n\r\n' % ETAG.encode()
TAKEN = b"HTTP/1.1 412 Precondition Failed\r\nServer: test\r\nContent-Length: 0\r\n\r\n"


class CuttingService(socketserver.ThreadingTCPServer):
    """Holds one object; ends the next `cuts` answers after `after` bytes."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.cuts, self.after, self.written = 0, 0, False

    @property
    def endpoint(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


class _Answer(socketserver.BaseRequestHandler):
    server: CuttingService

    def handle(self) -> None:
        request = b""
        while b"\r\n\r\n" not in request:
            request += self.request.recv(65536)
        head, _, body = request.partition(b"\r\n\r\n")
        while head.startswith(b"PUT") and len(body) < len(BODY):
            body += self.request.recv(65536)
        answer = FOUND + BODY
        if head.startswith(b"PUT"):
            answer, self.server.written = (TAKEN if self.server.written else WRITTEN), True
        if self.server.cuts > 0:
            self.server.cuts -= 1
            answer = answer[: self.server.after]
        self.request.sendall(answer)


@pytest.fixture(scope="module")
def service() -> Iterator[CuttingService]:
    with CuttingService() as found:
        threading.Thread(target=found.serve_forever, daemon=True).start()
        yield found
        found.shutdown()


@pytest.fixture
def store(service: CuttingService, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # between attempts
    service.cuts, service.written = 0, False
    config = StoreConfig(url="s3://bucket", endpoint=service.endpoint, secure=False)
    return open_store(config, {"SPICE_S3_ACCESS_KEY": "key", "SPICE_S3_SECRET_KEY": "secret"})


def test_an_object_is_read_again(service: CuttingService, store) -> None:
    for after in range(len(FOUND + BODY)):
        service.cuts, service.after = 1, after
        assert store.read("a") == (BODY, ETAG), after
        assert service.cuts == 0


def test_an_object_that_never_comes_whole_is_an_error(service: CuttingService, store) -> None:
    for after in range(0, len(FOUND + BODY), 7):
        service.cuts, service.after = 1000, after
        with pytest.raises(StoreError, match="did not do it"):
            store.get("a")


def test_the_winner_of_a_conditional_write_learns_that_it_won(service: CuttingService, store) -> None:
    for after in range(len(WRITTEN)):
        service.cuts, service.after, service.written = 1, after, False
        assert store.swap("a", BODY, None) == ETAG, after
