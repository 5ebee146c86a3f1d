"""Which checkpoint a recurring pipeline goes on from."""

from __future__ import annotations

from spice import reporting
from spice.promotion.log import ReleaseLog
from spice.promotion.release import status
from spice.store import ObjectStore

UNCHANGED = "unchanged"


def start(store: ObjectStore, corpus: str, model: str) -> str:
    """What to begin with on the dataset version `corpus`, or `UNCHANGED` if a run was trained on that very version.

    What is live comes first: people have agreed to it, while a chain of checkpoints that nobody looked at can drift
    night by night. Nothing live: the newest checkpoint trained on an earlier version of the same dataset, else
    `model`.

    Raises:
        IntegrityError: the release ledger is not what was written.
    """
    dataset = corpus.rpartition("/")[0]
    trained: list[tuple[float, str]] = []
    for name, info in reporting.runs(store):
        if info.checkpoint is None or info.corpus is None:
            continue
        if info.corpus == corpus:
            return UNCHANGED
        if info.corpus.rpartition("/")[0] == dataset and (written := store.head(f"runs/{name}/run.json")):
            trained.append((written.modified, info.checkpoint))
    live = status(ReleaseLog(store)).live
    return live or (max(trained)[1] if trained else model)
