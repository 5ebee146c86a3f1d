"""Addresses and credentials, and what is said when a service cannot be used."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from spice.config import StoreConfig
from spice.errors import ConfigError, ConflictError, NotFoundError, StoreError
from spice.store import open_store

CREDENTIALS = {"SPICE_S3_ACCESS_KEY": "key", "SPICE_S3_SECRET_KEY": "secret"}


@pytest.mark.parametrize(
    ("url", "expected"),
    [("store", "{cwd}/store"), ("~/store", "{home}/store"), ("/a/b", "/a/b"), ("file:///a/b", "/a/b")],
)
def test_folders(url: str, expected: str) -> None:
    assert open_store(StoreConfig(url=url), {}).url == expected.format(cwd=Path.cwd(), home=Path.home())


@pytest.mark.parametrize("url", ["s3://bucket", "s3://bucket/", "s3://bucket/some/prefix"])
def test_buckets(url: str) -> None:
    assert open_store(StoreConfig(url=url), CREDENTIALS).url == url.rstrip("/")


@pytest.mark.parametrize(
    ("config", "environ", "message"),
    [
        (StoreConfig(url="gs://bucket"), CREDENTIALS, "expected a folder, or s3://bucket/prefix"),
        (StoreConfig(url="file://host/a"), {}, "expected a folder, or s3://bucket/prefix"),
        (StoreConfig(url="s3://"), CREDENTIALS, "expected the name of a bucket"),
        (StoreConfig(url="s3://Not_a_bucket"), CREDENTIALS, "expected the name of a bucket"),
        (StoreConfig(url="s3:///prefix"), CREDENTIALS, "expected the name of a bucket"),
        (StoreConfig(url="s3://bucket", endpoint="http://host:9000"), CREDENTIALS, "expected host:port"),
        (StoreConfig(url="s3://bucket", endpoint="host:nonsense"), CREDENTIALS, r"store\.endpoint is 'host:nonsense'"),
        (StoreConfig(url="s3://bucket"), {}, "no credentials are in the environment"),
        (StoreConfig(url="s3://bucket"), {"SPICE_S3_ACCESS_KEY": "key"}, "no credentials are in the environment"),
    ],
)
def test_what_cannot_be_opened(config: StoreConfig, environ: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        open_store(config, environ)


def test_the_usual_names_of_credentials_serve_too() -> None:
    environ = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
    assert open_store(StoreConfig(url="s3://bucket"), environ).url == "s3://bucket"


def test_a_service_that_does_not_answer() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        endpoint = f"127.0.0.1:{unused.getsockname()[1]}"
        store = open_store(StoreConfig(url="s3://bucket", endpoint=endpoint, secure=False), CREDENTIALS)
        for action in (lambda: store.get("a"), lambda: store.put("a", b""), lambda: store.create("a", b"")):
            with pytest.raises(StoreError, match=rf"{endpoint} did not do it.*store\.endpoint"):
                action()


@pytest.mark.integration
def test_wrong_credentials(s3_store_config: StoreConfig) -> None:
    store = open_store(s3_store_config, CREDENTIALS)
    for action in (lambda: store.get("a"), lambda: store.put("a", b""), lambda: store.create("a", b"")):
        with pytest.raises(StoreError, match=r"refused \(.*Check the credentials in SPICE_S3_ACCESS_KEY"):
            action()


@pytest.mark.integration
def test_no_such_bucket(s3_store_config: StoreConfig) -> None:
    store = open_store(s3_store_config.model_copy(update={"url": "s3://no-such-bucket/x"}))
    for action in (lambda: list(store.list("")), lambda: store.get("a"), lambda: store.read("a")):
        with pytest.raises(StoreError, match="there is no bucket no-such-bucket") as caught:
            action()
        assert not isinstance(caught.value, NotFoundError | ConflictError)


@pytest.mark.integration
class TestLostAnswers:
    """The service did the work and the answer never came: who won is then read from the object."""

    def test_the_winner_is_told_so(self, s3_store_config: StoreConfig, lossy_relay: LossyRelay) -> None:
        store = open_store(s3_store_config.model_copy(update={"endpoint": lossy_relay.endpoint}))
        lossy_relay.drop = 1
        store.create("ledger/0", b"mine")
        lossy_relay.drop = 1
        etag = store.swap("pointer", b"1", None)
        assert store.read("pointer") == (b"1", etag)
        lossy_relay.drop = 2
        store.swap("pointer", b"2", etag)
        assert lossy_relay.drop == 0
        assert (store.get("ledger/0"), store.get("pointer")) == (b"mine", b"2")

    def test_the_loser_is_told_so(self, s3_store_config: StoreConfig, lossy_relay: LossyRelay) -> None:
        open_store(s3_store_config).create("ledger/0", b"theirs")
        store = open_store(s3_store_config.model_copy(update={"endpoint": lossy_relay.endpoint}))
        lossy_relay.drop = 1
        with pytest.raises(ConflictError):
            store.create("ledger/0", b"mine")
        assert store.get("ledger/0") == b"theirs"

    def test_reads_and_plain_writes_are_repeated(self, s3_store_config: StoreConfig, lossy_relay: LossyRelay) -> None:
        store = open_store(s3_store_config.model_copy(update={"endpoint": lossy_relay.endpoint}))
        lossy_relay.drop = 1
        store.put("a", b"1")
        lossy_relay.drop = 1
        assert store.get("a") == b"1"

    def test_giving_up(self, s3_store_config: StoreConfig, lossy_relay: LossyRelay) -> None:
        store = open_store(s3_store_config.model_copy(update={"endpoint": lossy_relay.endpoint}))
        lossy_relay.drop = 1000
        with pytest.raises(StoreError, match=r"did not do it.*store\.endpoint"):
            store.create("ledger/0", b"mine")


class LossyRelay(socketserver.ThreadingTCPServer):
    """Passes connections on to a service, but closes the next `drop` of them when the answer begins."""

    daemon_threads = True

    def __init__(self, target: str) -> None:
        super().__init__(("127.0.0.1", 0), _Relayed)
        host, _, port = target.partition(":")
        self.target = (host, int(port))
        self.drop = 0

    @property
    def endpoint(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


class _Relayed(socketserver.BaseRequestHandler):
    server: LossyRelay

    def handle(self) -> None:
        with socket.create_connection(self.server.target) as upstream:
            threading.Thread(target=_pump, args=(self.request, upstream), daemon=True).start()
            while answer := upstream.recv(65536):
                if self.server.drop > 0:
                    self.server.drop -= 1
                    return
                self.request.sendall(answer)


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)


@pytest.fixture
def lossy_relay(s3_store_config: StoreConfig) -> Iterator[LossyRelay]:
    assert s3_store_config.endpoint
    with LossyRelay(s3_store_config.endpoint) as relay:
        threading.Thread(target=relay.serve_forever, daemon=True).start()
        yield relay
        relay.shutdown()
