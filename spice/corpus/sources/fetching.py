"""Fetching a page without being led elsewhere: allowed hosts, public addresses, few redirects, little time.

The name of a host is looked up once, its addresses are checked, and one of
those is connected to. So a name that changes its address in between leads
nowhere new. Proxies of the environment are not used: they would look up names
by themselves.
"""

from __future__ import annotations

import io
import ipaddress
import os
import socket
import time
from collections.abc import Callable
from typing import BinaryIO, cast
from urllib.parse import SplitResult, urljoin, urlsplit

import certifi
import urllib3
from urllib3.exceptions import HTTPError

from spice.config import SourcesConfig
from spice.corpus.document import UnreadableError
from spice.corpus.source import Opened
from spice.corpus.sources.body import Body

_PORTS = {"http": 80, "https": 443}
_REDIRECTS = (301, 302, 303, 307, 308)
_OK = 200
_CONNECT_SECONDS = 10.0
_READ_SECONDS = 30.0

Clock = Callable[[], float]


class StatusError(UnreadableError):
    """A server answered, but not with the page."""

    def __init__(self, status: int) -> None:
        super().__init__("page cannot be fetched", f"status {status}")
        self.status = status


class Fetcher:
    """Gets pages.

    Args:
        config: hosts, limits, and what servers are told.
        clock: seconds that only grow.
    """

    def __init__(self, config: SourcesConfig, clock: Clock = time.monotonic) -> None:
        self._config = config
        self._clock = clock

    def check(self, address: str) -> SplitResult:
        """The parts of an address. Raises `UnreadableError` unless it may be fetched, as far as its text tells."""
        try:
            parts = urlsplit(address)
            port = parts.port or _PORTS.get(parts.scheme, 0)
        except ValueError as error:
            raise UnreadableError("not an address", str(error)) from error
        if parts.scheme not in _PORTS or not parts.hostname:
            raise UnreadableError("not an address", "expected http://host/page or https://host/page")
        if parts.username is not None:
            raise UnreadableError("address with a password", "credentials are never sent")
        if not self._is_allowed(parts.hostname, port):
            raise UnreadableError("host is not allowed", f"{parts.hostname}; see corpus.sources.hosts")
        return parts

    def get(self, address: str, each: Callable[[str], None] | None = None) -> Opened:
        """Open a page, following redirects.

        Args:
            address: what to fetch.
            each: called with the target of each redirect before it is followed; raises where it must not be.

        Raises:
            UnreadableError: not allowed, not there, or too slow. `StatusError` if the server says so.
        """
        deadline = self._clock() + self._config.seconds
        for _ in range(self._config.redirects + 1):
            response = self._request(address, deadline)
            if response.status not in _REDIRECTS:
                break
            target = urljoin(address, response.headers.get("Location", ""))
            response.close()
            self.check(target)
            if each is not None:
                each(target)
            address = target
        else:
            raise UnreadableError("too many redirects", f"corpus.sources.redirects is {self._config.redirects}")
        if response.status != _OK:
            response.close()
            raise StatusError(response.status)
        body = Body(response, _broken, lambda: self._require_time(deadline))
        return Opened(cast(BinaryIO, io.BufferedReader(body)), response.headers.get("Content-Type", ""))

    def _is_allowed(self, host: str, port: int) -> bool:
        host = host.lower().rstrip(".")
        named = {*self._config.hosts, *self._config.private_hosts}
        return host in named or f"{host}:{port}" in named or any(_is_below(host, pattern) for pattern in named)

    def _request(self, address: str, deadline: float) -> urllib3.BaseHTTPResponse:
        self._require_time(deadline)
        parts = self.check(address)
        host, port = str(parts.hostname), parts.port or _PORTS[parts.scheme]
        ip = self._resolved(host, port)
        timeout = urllib3.Timeout(connect=_CONNECT_SECONDS, read=min(_READ_SECONDS, self._config.seconds))
        pool: urllib3.HTTPConnectionPool
        if parts.scheme == "https":
            certificates = os.environ.get("SSL_CERT_FILE") or certifi.where()
            pool = urllib3.HTTPSConnectionPool(
                ip, port, timeout=timeout, server_hostname=host, assert_hostname=host, ca_certs=certificates
            )
        else:
            pool = urllib3.HTTPConnectionPool(ip, port, timeout=timeout)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        headers = {"Host": parts.netloc, "User-Agent": self._config.user_agent, "Accept-Encoding": "gzip, deflate"}
        try:
            return pool.request("GET", target, headers=headers, redirect=False, retries=False, preload_content=False)
        except HTTPError as error:
            raise _broken(error) from error

    def _resolved(self, host: str, port: int) -> str:
        """An address of the host. If one of them is private, the host is refused unless it is named as private."""
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise UnreadableError("host is not found", host) from error
        addresses = [str(entry[4][0]) for entry in found]
        if not {host.lower(), f"{host.lower()}:{port}"} & set(self._config.private_hosts):
            for text in addresses:
                ip = ipaddress.ip_address(text.partition("%")[0])
                if not ip.is_global or ip.is_multicast:
                    raise UnreadableError("private address", f"{host} is {text}; see corpus.sources.private_hosts")
        return addresses[0]

    def _require_time(self, deadline: float) -> None:
        if self._clock() > deadline:
            raise UnreadableError("takes too long to fetch", f"corpus.sources.seconds is {self._config.seconds:g}")


def _is_below(host: str, pattern: str) -> bool:
    return pattern.startswith("*.") and host.endswith(pattern[1:].lower())


def _broken(error: HTTPError) -> UnreadableError:
    return UnreadableError("page cannot be fetched", " ".join(str(error).split())[:200])
