"""Write the state that a run resumes from, all ranks together, while training goes on.

What is saved was copied to the host before. A thread then writes it: every rank
its own part, then rank 0 the manifest, then the pointer. At most one state is
under way. A failure anywhere is told at the next call, on every rank, and the
state before it is still in force then.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

from pydantic import TypeAdapter

from spice.config import TrainingConfig
from spice.errors import SpiceError, TrainingError
from spice.learner.base import Captured
from spice.learner.ranks import Ranks
from spice.store import artifacts
from spice.store.base import ObjectStore
from spice.store.canonical import JSON, dumps
from spice.training.checkpoints import Pointer

_DESCRIBED = TypeAdapter(dict[str, dict[str, str | int]])


class Saver:
    """Saves one run's states, one after the other."""

    def __init__(
        self, store: ObjectStore, run: str, pointer: Pointer | None, ranks: Ranks, config: TrainingConfig
    ) -> None:
        """Prepare to save.

        Args:
            store: where to.
            run: whose states.
            pointer: rank 0's hold on the run; `None` on the others.
            ranks: all of them, on a line that nobody else uses.
            config: how many states are kept.
        """
        self._store, self._prefix, self._pointer = store, f"runs/{run}/resume", pointer
        self._ranks, self._config = ranks, config
        self._writer = ThreadPoolExecutor(1, "saver")
        self._under_way: Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let a state that is under way come into force, also when training failed meanwhile."""
        self._writer.shutdown()

    def save(self, captured: Captured, iteration: int, checkpoints: tuple[tuple[int, str], ...]) -> None:
        """Begin to write what was captured after `iteration`. Raises as `wait` does, of the state before."""
        self.wait()
        self._under_way = self._writer.submit(self._write, captured, iteration, checkpoints)

    def wait(self) -> None:
        """Wait until the last state is in force.

        Raises:
            TrainingError: another process has taken the run over, or a rank could not write its part.
            StoreError: the store failed.
        """
        if self._under_way is not None:
            under_way, self._under_way = self._under_way, None
            under_way.result()

    def _write(self, captured: Captured, iteration: int, checkpoints: tuple[tuple[int, str], ...]) -> None:
        with tempfile.TemporaryDirectory(prefix="spice-resume-") as temporary:
            folder = Path(temporary)

            def describe() -> bytes:
                captured.write(folder)
                return dumps(artifacts.describe(_files(folder)))

            described: dict[str, JSON] = {}
            for part in self._agreed(describe):
                described |= _DESCRIBED.validate_json(part)
            ref, manifest = artifacts.seal(self._prefix, described, {"kind": "resume", "iteration": iteration})
            self._agreed(lambda: artifacts.put_files(self._store, ref, _files(folder)))

        def point() -> None:
            if self._pointer is not None:
                self._store.put(f"{ref}/{artifacts.MANIFEST}", manifest)
                keep = {"keep_last": self._config.keep_last, "keep_every": self._config.keep_every}
                self._pointer.advance(ref, iteration, checkpoints, **keep)

        self._agreed(point)

    def _agreed(self, work: Callable[[], bytes | None]) -> list[bytes]:
        """Do this rank's part of a step, and see that the others have done theirs; returns what each made of it.

        Raises:
            SpiceError: this rank's own failure, if it failed.
            TrainingError: another one failed.
        """
        failure, made = None, b""
        try:
            made = work() or b""
        except SpiceError as error:
            failure = error
        reports = self._ranks.gather(b"-" + str(failure).encode() if failure else b"+" + made)
        if failure:
            raise failure
        for rank, report in enumerate(reports):
            if report.startswith(b"-"):
                raise TrainingError(f"Rank {rank} could not save its state: {report[1:].decode()}")
        return [report[1:] for report in reports]


def _files(folder: Path) -> dict[str, bytes | Path]:
    return {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
