"""Batches of items to documents, in this process and in one that may be killed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from itertools import groupby
from types import TracebackType

from spice.config import CorpusConfig
from spice.corpus.document import Document
from spice.corpus.formats import is_safe
from spice.corpus.parsing.exchange import Exchange, Open
from spice.corpus.parsing.frames import FrameReader, write_frame
from spice.corpus.parsing.messages import READY
from spice.corpus.parsing.reading import Path, read_item
from spice.corpus.source import LeftOut, SourceItem
from spice.errors import CorpusError

Result = Document | LeftOut

# Without the current folder on its path, where documents may lie.
_COMMAND = (sys.executable, "-P", "-m", "spice.corpus.parsing.worker")
# Allocators that take address space from the system as they need it: what others reserve would count as used.
_ENVIRONMENT = {"ARROW_DEFAULT_MEMORY_POOL": "system", "MALLOC_ARENA_MAX": "1"}
_START_SECONDS = 300.0
_MOST_DEATHS = 50


class Parser:
    """Parses items. Safe formats are read at once; all others by a child process, started when first needed.

    Holds no text between two results. Close it, or use it as a context manager.

    Args:
        config: limits and options of the formats.
        command: how to start the child.
    """

    def __init__(self, config: CorpusConfig, command: Sequence[str] = _COMMAND) -> None:
        self._config = config
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Parser:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the child; it holds nothing worth keeping."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def parse_batch(self, items: Sequence[SourceItem]) -> Iterator[tuple[int, Result]]:
        """The documents of local items, and what cannot be read, in the order of the items.

        Neighbours that need the child are sent to it together, so a hundred
        files or more in a batch make the exchange cheap.

        Args:
            items: each with a path.

        Yields:
            The index of an item with one of its documents, or with a reason why there is none or less; at least one
            per item.
        """
        for safe, group in groupby(range(len(items)), key=lambda index: is_safe(items[index].name, items[index].media)):
            indices = list(group)
            if safe:
                for index in indices:
                    yield from ((index, one) for one in self._here(items[index]))
            else:
                yield from self._there(items, indices)

    def _here(self, item: SourceItem) -> Iterator[Result]:
        return (event for event in read_item(item, self._config) if isinstance(event, Document | LeftOut))

    def _there(self, items: Sequence[SourceItem], indices: list[int]) -> Iterator[tuple[int, Result]]:
        """Ask the child for all. Where it dies, what it was at is left out, and a new child goes on behind that."""
        done, deaths = 0, 0
        after: Path | None = None
        opened: Open = ()
        while done < len(indices):
            asked = indices[done:]
            exchange = Exchange(self._ready(), [items[index] for index in asked], after, opened, self._config)
            try:
                for number, result in exchange.results():
                    yield asked[number], result
            finally:
                if exchange.finished < len(asked):
                    self.close()  # dead, or nobody wants the rest of its answers
            if exchange.death is None:
                return
            deaths = 1 if exchange.finished else deaths + 1
            done += exchange.finished
            after, source, opened = exchange.blamed()
            yield indices[done], LeftOut(source, "read", *exchange.death)
            if after and deaths >= _MOST_DEATHS:
                yield indices[done], LeftOut(items[indices[done]].name, "read", "too many members crash their reader")
            if not after or deaths >= _MOST_DEATHS:
                done, deaths, after, opened = done + 1, 0, None, ()

    def _ready(self) -> subprocess.Popen[bytes]:
        """The child, after it said that its limits hold."""
        if self._process is not None and self._process.poll() is None:
            return self._process
        self.close()
        self._process = process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **_ENVIRONMENT},
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            write_frame(process.stdin, self._config.model_dump(mode="json"))
            process.stdin.flush()
            is_ready = FrameReader(process.stdout.fileno()).next(_START_SECONDS) == READY
        except (OSError, EOFError, ValueError):
            is_ready = False
        if not is_ready:
            self.close()
            raise CorpusError(
                f"The process that parses documents does not start: {' '.join(self._command)} ended at once or hangs. "
                "Run it by hand to see why."
            )
        return process
