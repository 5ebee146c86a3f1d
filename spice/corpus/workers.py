"""The processes that read documents: long-lived, one per core, each given one batch of files at a time.

They are started as programs of their own and spoken to in lines of JSON. A
process that dies is replaced, and its batch is split until the file that kills
it stands alone; that one is reported, and the others are read.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from spice.config import CorpusConfig
from spice.corpus.reading import Reader, write_unread
from spice.corpus.source import SourceItem
from spice.errors import CorpusError

NewFolder = Callable[[], Path]
Result = list[tuple[Path, list[SourceItem]]]
"""Folders of packs, each with the files that it holds, in their order."""


class Readers(Protocol):
    """Whatever turns batches of files into packs."""

    def submit(self, items: Sequence[SourceItem]) -> Future[Result]:
        """Read a batch, now or soon."""
        ...


class InProcess:
    """Reads batches at once, in this process."""

    def __init__(self, reader: Reader, new_folder: NewFolder) -> None:
        self._reader, self._new_folder = reader, new_folder

    def submit(self, items: Sequence[SourceItem]) -> Future[Result]:
        """Read a batch now."""
        future: Future[Result] = Future()
        folder = self._new_folder()
        self._reader.read(items, folder)
        future.set_result([(folder, list(items))])
        return future


class Pool:
    """Reads batches in processes of their own.

    Args:
        count: processes.
        config: of the corpus.
        erased: digests that must not come back.
        tokenizer: folder of the tokenizer that counts.
        new_folder: gives an empty folder for each pack.
        admitted: digests to which no screen applies.
    """

    def __init__(
        self,
        count: int,
        config: CorpusConfig,
        erased: frozenset[bytes],
        tokenizer: Path,
        new_folder: NewFolder,
        admitted: frozenset[bytes] = frozenset(),
    ) -> None:
        settings = {
            "config": config.model_dump(mode="json"),
            "erased": sorted(one.hex() for one in erased),
            "admitted": sorted(one.hex() for one in admitted),
            "tokenizer": os.fspath(tokenizer.resolve()),
        }
        self._settings, self._new_folder = json.dumps(settings), new_folder
        self._idle: queue.SimpleQueue[_Process | None] = queue.SimpleQueue()
        for _ in range(count):
            self._idle.put(None)
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="readers")
        self._started: list[_Process] = []

    def __enter__(self) -> Pool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._started:
            process.kill()
        self._threads.shutdown(cancel_futures=True)

    def submit(self, items: Sequence[SourceItem]) -> Future[Result]:
        """Read a batch as soon as a process is free."""
        return self._threads.submit(self._read, list(items))

    def _read(self, items: list[SourceItem]) -> Result:
        process = self._idle.get()
        if process is None:
            process = _Process(self._settings)
            self._started.append(process)
        folder = self._new_folder()
        try:
            process.read(items, folder)
        except _Died:
            process.kill()
            self._idle.put(None)
            return self._without_the_deadly(items)
        except BaseException:
            process.kill()
            self._idle.put(None)
            raise
        self._idle.put(process)
        return [(folder, items)]

    def _without_the_deadly(self, items: list[SourceItem]) -> Result:
        if len(items) > 1:
            half = len(items) // 2
            return self._read(items[:half]) + self._read(items[half:])
        folder = self._new_folder()
        write_unread(items[0], "crashes its reader", folder)
        return [(folder, items)]


class _Died(Exception):
    """The process ended in the middle of a batch."""


class _Process:
    def __init__(self, settings: str) -> None:
        command = [sys.executable, "-P", "-m", "spice.corpus.worker"]
        # One process per core: more threads in each would only wait for each other.
        threads = {"TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, **threads}
        )
        self._greeting = settings

    def read(self, items: Sequence[SourceItem], folder: Path) -> None:
        """Have a batch read. Raises `_Died`, or `CorpusError` if it cannot work at all."""
        if self._greeting:
            self._send(self._greeting)
            self._greeting = ""
        self._send(json.dumps({"items": [item.to_json() for item in items], "folder": os.fspath(folder)}))
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.endswith(b"\n"):
            raise _Died
        answer: dict[str, Any] = json.loads(line)
        if answer["problem"]:
            raise CorpusError(str(answer["problem"]))

    def kill(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None and not pipe.closed:
                try:
                    pipe.close()
                except BrokenPipeError:
                    continue  # what was not yet sent is lost with the process

    def _send(self, line: str) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise _Died from error
