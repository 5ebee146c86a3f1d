"""What a host asks robots to leave alone (RFC 9309)."""

from __future__ import annotations

from urllib.parse import urlsplit
from urllib.robotparser import RobotFileParser

from spice.corpus.document import UnreadableError
from spice.corpus.sources.fetching import Fetcher, StatusError

_MOST_BYTES = 500 * 1024
_MOST_HOSTS = 10_000


class Robots:
    """The rules of each host, fetched when it is met first."""

    def __init__(self, fetcher: Fetcher, user_agent: str) -> None:
        self._fetcher = fetcher
        self._user_agent = user_agent
        self._rules: dict[str, RobotFileParser] = {}

    def require(self, address: str) -> None:
        """Raise `UnreadableError` if the host forbids the page, or does not say because it fails."""
        parts = urlsplit(address)
        origin = f"{parts.scheme}://{parts.netloc}"
        if origin not in self._rules:
            if len(self._rules) >= _MOST_HOSTS:
                self._rules.clear()
            self._rules[origin] = self._fetched(f"{origin}/robots.txt")
        if not self._rules[origin].can_fetch(self._user_agent, address):
            raise UnreadableError("forbidden by robots.txt", origin)

    def _fetched(self, address: str) -> RobotFileParser:
        """Rules; a missing file allows all, a host that fails forbids all."""
        rules = RobotFileParser(address)
        try:
            with self._fetcher.get(address).stream as stream:
                lines = (stream.read(_MOST_BYTES) or b"").decode("utf-8", "replace").splitlines()
            rules.parse(lines)
        except StatusError as error:
            if 400 <= error.status < 500:
                rules.allow_all = True  # type: ignore[attr-defined] # as its own read() does
            else:
                rules.disallow_all = True  # type: ignore[attr-defined]
        except UnreadableError:
            rules.disallow_all = True  # type: ignore[attr-defined]
        return rules
