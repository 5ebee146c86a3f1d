"""Fetching ahead: a bucket or a web server answers slowly, but several questions at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from spice.config import SourcesConfig
from spice.corpus.document import UnreadableError
from spice.corpus.source import LeftOut, SourceItem, fetch

Entry = SourceItem | LeftOut

_AHEAD = 4  # entries per connection that may wait for one that takes long


def fetch_ahead(
    entries: Iterator[Entry], wanted: Callable[[SourceItem], bool], folder: Path, config: SourcesConfig
) -> Iterator[Entry]:
    """The entries in their order, remote ones that are wanted with a local copy, or the reason why there is none.

    Args:
        entries: of a source.
        wanted: whether a remote item is to be fetched; asked by the caller's thread.
        folder: for the copies, which the caller removes.
        config: connections, and the longest file.

    Raises:
        CorpusError: a source fails, also while something is fetched.
        OSError: the folder cannot be written.
    """
    waiting: deque[Future[Entry] | Entry] = deque()
    pool = ThreadPoolExecutor(config.connections, thread_name_prefix="fetch")
    try:
        for entry in entries:
            if isinstance(entry, SourceItem) and entry.path is None and wanted(entry):
                waiting.append(pool.submit(_fetched, entry, folder, config.fetch_bytes))
            else:
                waiting.append(entry)
            while waiting and (_is_there(waiting[0]) or len(waiting) > _AHEAD * config.connections):
                yield _taken(waiting.popleft())
        while waiting:
            yield _taken(waiting.popleft())
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _fetched(item: SourceItem, folder: Path, most_bytes: int) -> Entry:
    try:
        return fetch(item, folder, most_bytes)
    except UnreadableError as error:
        return LeftOut(item.name, "read", error.reason, error.detail)


def _is_there(one: Future[Entry] | Entry) -> bool:
    return not isinstance(one, Future) or one.done()


def _taken(one: Future[Entry] | Entry) -> Entry:
    return one.result() if isinstance(one, Future) else one
