"""Tells the frontier sampler what an iteration's tasks earned: after playing it, and from its record after a resume."""

from __future__ import annotations

import io
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from spice.errors import TrainingError
from spice.selfplay.frontier import Frontier
from spice.store.base import ObjectStore
from spice.training.played import Played
from spice.training.records import tasks_key


def remember(frontier: Frontier, played: Sequence[Played]) -> None:
    """Enter an iteration that was just played."""
    frontier.add((one.attempt.document.id, one.reward) for one in played)


def recall(frontier: Frontier, store: ObjectStore, run: str, iterations: int) -> None:
    """Enter the first `iterations` of a run from their records, in the same numbers as when they were played.

    Raises:
        TrainingError: their records are not as they were written.
    """
    for n in range(1, iterations + 1):
        key = tasks_key(run, n)
        try:
            table = pq.read_table(io.BytesIO(store.get(key)), columns=["document", "reward"], use_threads=False)
            frontier.add([(row["document"], row["reward"]) for row in table.to_pylist()])
        except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
            raise TrainingError(
                f"{key} in {store.url} is damaged, so the run cannot go on. Restore it from a backup, "
                "or start a new run."
            ) from error
