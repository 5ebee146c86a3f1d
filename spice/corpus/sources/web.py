"""Pages of the web, from allowed hosts only."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from urllib.parse import urldefrag

from spice.config import SourcesConfig
from spice.corpus.document import UnreadableError, printable
from spice.corpus.source import LeftOut, Opened, SourceItem
from spice.corpus.sources.fetching import Fetcher
from spice.corpus.sources.robots import Robots
from spice.errors import CorpusError

_LIST = "urls:"
_LONGEST_ADDRESS = 2000


class WebSource:
    """Pages by their addresses, fetched one by one when they are opened. A list is read line by line.

    Args:
        addresses: `https://host/page`, or `urls:FILE` for a file with an address per line; `#` begins a comment.
        config: what may be fetched.
        fetcher: who fetches.

    Raises:
        CorpusError: no host is allowed, or a list does not exist.
    """

    def __init__(self, addresses: Sequence[str], config: SourcesConfig, fetcher: Fetcher | None = None) -> None:
        if not config.hosts:
            raise CorpusError(
                f"{addresses[0]} is not read, because no host is allowed. "
                "Name hosts, as in --set corpus.sources.hosts=example.org."
            )
        for address in addresses:
            if address.startswith(_LIST) and not Path(address.removeprefix(_LIST)).is_file():
                raise CorpusError(f"{address.removeprefix(_LIST)} is not a file. Name a list of addresses, one a line.")
        self._addresses = addresses
        self._fetcher = fetcher or Fetcher(config)
        self._robots = Robots(self._fetcher, config.user_agent) if config.robots else None

    def items(self) -> Iterator[SourceItem | LeftOut]:
        """An item per address, given twice or not; a page is not contacted before it is opened."""
        seen: set[bytes] = set()
        for address in self._all():
            if len(address) > _LONGEST_ADDRESS:
                yield LeftOut(address[:_LONGEST_ADDRESS], "read", "address is too long")
                continue
            if (key := hashlib.blake2b(address.encode("utf-8", "replace"), digest_size=16).digest()) in seen:
                continue
            seen.add(key)
            try:
                self._fetcher.check(address)
            except UnreadableError as error:
                yield LeftOut(address, "read", error.reason, error.detail)
                continue
            yield SourceItem(address, address, None, None, opened=partial(self._open, address))

    def _all(self) -> Iterator[str]:
        for address in self._addresses:
            if not address.startswith(_LIST):
                yield urldefrag(address).url
                continue
            with Path(address.removeprefix(_LIST)).open(encoding="utf-8", errors="replace") as file:
                for line in file:
                    if (entry := line.strip()) and not entry.startswith("#"):
                        yield urldefrag(printable(entry)).url

    def _open(self, address: str) -> Opened:
        if self._robots is not None:
            self._robots.require(address)
        return self._fetcher.get(address, self._robots.require if self._robots else None)
