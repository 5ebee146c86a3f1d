"""How a rank shows that it is alive: a file that it writes anew every second.

The file says what the rank is doing and how much processor time it has had. So
a rank that hangs can be told from one that works, and from one that waits for
the one that hangs.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

_INTERVAL = 1.0


class Beat(BaseModel):
    """One sign of life.

    Attributes:
        rank: whose.
        pid: its process.
        number: counts up.
        waiting: it does nothing but wait for other ranks.
        busy: processor time of the process and its ended children so far, in seconds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rank: int
    pid: int
    number: int
    waiting: bool
    busy: float


class Heart:
    """Beats in a thread of its own until the block is left."""

    def __init__(self, folder: Path, rank: int, parent: int) -> None:
        """Beat in `folder` as `rank`; when the process `parent` is gone, end this one at once."""
        self._path, self._rank, self._parent = folder / f"beat-{rank}.json", rank, parent
        self._waiting, self._number = False, 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat_on, name="heart", daemon=True)

    def __enter__(self) -> Self:
        self._beat()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """A block in which nothing is done but wait for other ranks."""
        self._waiting = True
        try:
            yield
        finally:
            self._waiting = False

    def _beat_on(self) -> None:
        while not self._over.wait(_INTERVAL):
            if not _is_alive(self._parent):
                os._exit(1)  # nobody would end the others, or take what this one makes
            with suppress(OSError):  # a beat that is missed on a full disk is no reason to end
                self._beat()

    def _beat(self) -> None:
        self._number += 1
        times = os.times()
        beat = Beat(
            rank=self._rank,
            pid=os.getpid(),
            number=self._number,
            waiting=self._waiting,
            busy=sum((times.user, times.system, times.children_user, times.children_system)),
        )
        fresh = self._path.with_suffix(".new")
        fresh.write_text(beat.model_dump_json())
        fresh.replace(self._path)


def read(folder: Path) -> list[Beat]:
    """The last beat of every rank that has begun to beat, in order of rank."""
    beats = []
    for path in folder.glob("beat-*.json"):
        with suppress(OSError, ValidationError):  # the next look will see it
            beats.append(Beat.model_validate_json(path.read_bytes()))
    return sorted(beats, key=lambda beat: beat.rank)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
