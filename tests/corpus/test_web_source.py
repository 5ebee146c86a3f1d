from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from spice.config import CorpusConfig, SourcesConfig, StoreConfig
from spice.corpus.document import UnreadableError
from spice.corpus.source import LeftOut, SourceItem, fetch
from spice.corpus.sources import open_sources
from spice.corpus.sources.fetching import Fetcher
from spice.corpus.sources.web import WebSource
from spice.errors import CorpusError

pytestmark = pytest.mark.integration

Answer = tuple[int, dict[str, str], bytes]


class Site:
    """A server on loopback whose answers a test sets; `asked` are the paths that were requested."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {"/robots.txt": (404, {}, b"")}
        self.asked: list[str] = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.asked.append(self.path)
                status, headers, body = site.answers.get(self.path, (404, {}, b""))
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: Any) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def page(self, path: str, body: bytes = b"<p>page</p>", status: int = 200, **headers: str) -> str:
        self.answers[path] = (status, {name.replace("_", "-"): value for name, value in headers.items()}, body)
        return f"http://{self.host}{path}"


@pytest.fixture
def site() -> Iterator[Site]:
    one = Site()
    yield one
    one.server.shutdown()
    one.server.server_close()


@pytest.fixture
def get(site: Site, tmp_path: Path) -> Callable[..., SourceItem]:
    """Fetch one address with the site allowed."""

    def get(address: str, most_bytes: int = 10_000, **changes: Any) -> SourceItem:
        settings = {"hosts": ("127.0.0.1",), "private_hosts": (site.host,), **changes}
        (item,) = open_sources([address], CorpusConfig(sources=SourcesConfig(**settings)), StoreConfig()).items()
        if isinstance(item, LeftOut):
            raise UnreadableError(item.reason, item.detail)
        return fetch(item, tmp_path, most_bytes)

    return get


Get = Callable[..., SourceItem]


def test_a_page_comes_with_its_media_type(site: Site, get: Get) -> None:
    address = site.page("/a", b"<p>hello</p>", Content_Type="text/html; charset=utf-8")
    item = get(address)
    assert item.path is not None
    assert (item.name, item.media, item.path.read_bytes()) == (address, "text/html; charset=utf-8", b"<p>hello</p>")


def test_lists_are_read_line_by_line(site: Site, tmp_path: Path) -> None:
    config = SourcesConfig(hosts=("example.org", "*.example.net"))
    (tmp_path / "list.txt").write_text(
        "# ours\nhttps://example.org/a#part\n\nhttps://example.org/a\nhttps://other.org/\nhttps://deep.example.net/b\n"
        "gopher://example.org/\nhttps://user:word@example.org/\nhttps://example.org:port/\n"
        f"https://example.org/{'x' * 3000}\n"
    )
    entries = list(WebSource([f"urls:{tmp_path}/list.txt"], config).items())
    assert [one.name for one in entries if isinstance(one, SourceItem)] == [
        "https://example.org/a",
        "https://deep.example.net/b",
    ]
    assert [one.reason for one in entries if isinstance(one, LeftOut)] == [
        "host is not allowed",
        "not an address",
        "address with a password",
        "not an address",
        "address is too long",
    ]
    assert site.asked == []


@pytest.mark.parametrize(
    ("hosts", "private", "reason"),
    [
        (("127.0.0.1",), (), "private address"),
        (("127.0.0.1",), ("10.0.0.1",), "private address"),
        (("example.org",), (), "host is not allowed"),
    ],
)
def test_private_and_other_hosts_are_not_contacted(
    site: Site, get: Get, hosts: tuple[str, ...], private: tuple[str, ...], reason: str
) -> None:
    with pytest.raises(UnreadableError, match=reason):
        get(site.page("/a"), hosts=hosts, private_hosts=private, robots=False)
    assert site.asked == []


@pytest.mark.parametrize("name", ["localhost", "127.1", "2130706433", "[::1]", "[::ffff:127.0.0.1]"])
def test_other_names_of_this_machine_are_private_too(site: Site, get: Get, name: str) -> None:
    with pytest.raises(UnreadableError, match=r"private address|host is not found"):
        get(f"http://{name}:{site.server.server_port}/a", hosts=(name.strip("[]"),), robots=False)
    assert site.asked == []


def test_redirects_stay_with_allowed_hosts(site: Site, get: Get) -> None:
    site.page("/end", b"end")
    assert get(site.page("/start", status=302, Location="/end")).size == 3
    with pytest.raises(UnreadableError, match="host is not allowed"):
        get(site.page("/out", status=301, Location="http://169.254.169.254/latest/meta-data"))
    with pytest.raises(UnreadableError, match="not an address"):
        get(site.page("/file", status=301, Location="file:///etc/passwd"))
    with pytest.raises(UnreadableError, match="too many redirects"):
        get(site.page("/loop", status=307, Location="/loop"))


def test_errors_sizes_and_cut_answers(site: Site, get: Get, tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match="status 404"):
        get(f"http://{site.host}/nowhere")
    with pytest.raises(UnreadableError, match="too large"):
        get(site.page("/long", b"x" * 101), most_bytes=100)
    with pytest.raises(UnreadableError, match="page cannot be fetched"):
        get(site.page("/cut", b"short", Content_Length="100"))
    assert list(tmp_path.iterdir()) == []


def test_a_compressed_answer_is_counted_as_it_unfolds(site: Site, get: Get) -> None:
    import gzip

    address = site.page("/bomb", gzip.compress(b"0" * 1_000_000), Content_Encoding="gzip")
    with pytest.raises(UnreadableError, match="too large"):
        get(address, most_bytes=10_000)
    assert get(address, most_bytes=1_000_000).size == 1_000_000


def test_a_slow_page_is_given_up(site: Site) -> None:
    ticks = count(0, 20)
    config = SourcesConfig(hosts=("127.0.0.1",), private_hosts=(site.host,), seconds=50)
    fetcher = Fetcher(config, clock=lambda: float(next(ticks)))
    with pytest.raises(UnreadableError, match="takes too long"), fetcher.get(site.page("/a", b"x" * 10)).stream as page:
        while page.read(1):
            pass


def test_robots_are_asked_and_obeyed(site: Site, get: Get) -> None:
    site.page("/robots.txt", b"User-agent: *\nDisallow: /private\n\nUser-agent: other\nDisallow: /\n")
    assert get(site.page("/open")).size
    with pytest.raises(UnreadableError, match=r"robots\.txt"):
        get(site.page("/private/a"))
    with pytest.raises(UnreadableError, match=r"robots\.txt"):
        get(site.page("/leads", status=302, Location="/private/a"))
    assert get(site.page("/private/a"), robots=False).size
    site.page("/robots.txt", b"", status=503)
    with pytest.raises(UnreadableError, match=r"robots\.txt"):
        get(site.page("/open"))


def test_without_allowed_hosts_there_is_no_web(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"no host is allowed.*corpus\.sources\.hosts"):
        open_sources(["https://example.org/"], CorpusConfig(), StoreConfig())
    allowed = CorpusConfig(sources=SourcesConfig(hosts=("example.org",)))
    with pytest.raises(CorpusError, match="is not a file"):
        open_sources([f"urls:{tmp_path}/none"], allowed, StoreConfig())
