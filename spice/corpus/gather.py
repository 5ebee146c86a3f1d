"""Gathering: every file of the sources finds its pack, an old one if its bytes are known, else a new one."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from spice.config import CorpusConfig
from spice.corpus.catalogue import Catalogue
from spice.corpus.packs import Packs
from spice.corpus.reading import item_sha256
from spice.corpus.source import LeftOut, SourceItem
from spice.corpus.sources import fetch_ahead
from spice.corpus.workers import Readers, Result
from spice.errors import CorpusError, IntegrityError

_log = logging.getLogger(__name__)

_BATCH_BYTES = 8_000_000
_BATCH_FILES = 512
_UNKNOWN_SIZE = 1_000_000

Progress = Callable[[int, int, str], None]


@dataclass
class Gathered:
    """How many files were read, and how many were known."""

    read: int = 0
    reused: int = 0


class Gatherer:
    """Reads what is new.

    Args:
        catalogue: gets an entry for every file.
        packs: where new ones are stored.
        readers: who reads.
        config: limits.
        folder: for copies of remote files.
        ahead: batches that may wait for a reader.
        verify: look at the bytes of every file, whatever the source says of changes.
        strict: fail at the first file that cannot be read.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        packs: Packs,
        readers: Readers,
        config: CorpusConfig,
        folder: Path,
        ahead: int,
        verify: bool = False,
        strict: bool = False,
    ) -> None:
        self._catalogue, self._packs, self._readers, self._config = catalogue, packs, readers, config
        self._folder, self._ahead, self._verify, self._strict = folder, ahead, verify, strict
        self._waiting: set[Future[Result]] = set()
        self._batch: list[SourceItem] = []
        self._size = 0
        self._gathered = Gathered()
        shutil.rmtree(folder, ignore_errors=True)  # copies that an ingest left when it was killed
        folder.mkdir(parents=True)

    def gather(self, items: Iterator[SourceItem | LeftOut], total: int, progress: Progress) -> Gathered:
        """Take in all items; `total` is how many there are, 0 if nobody knows.

        Raises:
            CorpusError: a file cannot be read and `strict` is set, or two files have the same name.
        """
        self._learn()
        seen = 0
        for item in fetch_ahead(items, self._is_new, self._folder, self._config.sources):
            if isinstance(item, LeftOut):
                self._pass_over(item)
            elif self._verify or not self._reuse(item, None):
                self._read(item)
            if not isinstance(item, LeftOut) and item.start == 0:  # a run of rows is a part of its file
                seen += 1
            progress(max(0, seen - len(self._batch)), max(seen, total) if total else 0, "read")
        self._send()
        while self._waiting:
            self._collect(None)
        progress(seen, seen, "read")
        return self._gathered

    def _learn(self) -> None:
        self._knows = False
        for ref in self._packs.refs():
            try:
                pack = self._packs.get(ref)
            except IntegrityError as error:  # making it again repairs it
                _log.warning("a pack is left aside: %s", error)
                continue
            self._catalogue.add_pack(ref, pack)
            self._knows = True

    def _is_new(self, item: SourceItem) -> bool:
        return self._verify or not self._knows or self._catalogue.known(item, None) is None

    def _reuse(self, item: SourceItem, sha256: bytes | None) -> bool:
        found = self._catalogue.known(item, sha256) if self._knows and sha256 != b"" else None
        if found is None:
            return False
        self._catalogue.add_file(item, *found)
        self._gathered.reused += 1
        return True

    def _read(self, item: SourceItem) -> None:
        """Put a local file into the next batch, unless its bytes are known under another name or date."""
        if self._knows and self._reuse(item, item_sha256(item)):
            self._forget(item)
            return
        size = item.size or _UNKNOWN_SIZE
        if self._batch and (self._size + size > _BATCH_BYTES or len(self._batch) >= _BATCH_FILES):
            self._send()
        self._batch.append(item)
        self._size += size

    def _send(self) -> None:
        if self._batch:
            self._waiting.add(self._readers.submit(self._batch))
            self._batch, self._size = [], 0
        self._collect(None if len(self._waiting) > self._ahead else 0.0)

    def _collect(self, seconds: float | None) -> None:
        """Store what is read, waiting so long for the first. One batch that takes long keeps no other waiting."""
        done, self._waiting = wait(self._waiting, seconds, FIRST_COMPLETED)
        for one in done:
            self._store(one.result())

    def _store(self, result: Result) -> None:
        for folder, items in result:
            ref = self._packs.keep(folder)
            for number, item in enumerate(items):
                self._catalogue.add_file(item, ref, number)
                self._forget(item)
            self._gathered.read += len(items)
            if self._strict:
                self._refuse(ref, items)

    def _refuse(self, ref: str, items: list[SourceItem]) -> None:
        pack = self._packs.get(ref)
        for number, item in enumerate(items):
            for _, row in pack.documents(number):
                if row["stage"] == "read":
                    raise _unreadable(item.name + row["member"], row["reason"], row["detail"])

    def _pass_over(self, problem: LeftOut) -> None:
        if self._strict and problem.stage == "read":
            raise _unreadable(problem.source, problem.reason, problem.detail)
        self._catalogue.pass_over(problem)

    def _forget(self, item: SourceItem) -> None:
        """Remove the copy of a remote file."""
        if item.path is not None and item.path.parent == self._folder:
            with suppress(OSError):
                item.path.unlink()


def _unreadable(source: str, reason: str, detail: str) -> CorpusError:
    more = f" ({detail})" if detail else ""
    return CorpusError(f"{source} cannot be read: {reason}{more}. Repair or remove it, or ingest without --strict.")
