"""What tasks come from, where that is not the corpus."""

from __future__ import annotations

from collections.abc import Sequence

from spice.errors import ConfigError
from spice.selfplay import questions
from spice.selfplay.sampling import draw_documents
from spice.selfplay.types import Document, Task
from spice.store.base import ObjectStore
from spice.training.iteration import Pose
from spice.training.outputs import Attempt
from spice.training.play import Players, Seeds


def given_questions(asked: Sequence[tuple[str, Task]], batch: int, seed: int) -> Pose:
    """Draw questions from a set as documents are drawn from a corpus; nobody poses anything.

    Args:
        asked: (id, task).
        batch: questions per iteration.
        seed: of the run.
    """

    def pose(_players: Players, iteration: int, _seeds: Seeds) -> list[list[Attempt]]:
        drawn = [asked[i] for i in draw_documents(len(asked), batch, seed, iteration)]
        return [[Attempt(Document(name, "", ""), (), None, task, "", {"well_formed": True})] for name, task in drawn]

    return pose


def read_questions(path: str) -> bytes:
    """The bytes of a question set that is one. Raises `ConfigError`."""
    data = questions.read_file(path)
    questions.parse(data, path)
    return data


def keep_questions(store: ObjectStore, run: str, data: bytes) -> None:
    """Copy a new run's question set into the store, so that the run depends on no file that may change."""
    store.put(_key(run), data)


def kept_questions(store: ObjectStore, run: str) -> list[tuple[str, Task]]:
    """The question set of a run. Raises `ConfigError` if it is not what was written."""
    found = store.read(_key(run))
    if found is None:
        raise ConfigError(f"{_key(run)} is gone from {store.url}, so the run cannot go on. Start a new run.")
    return questions.parse(found[0], _key(run))


def _key(run: str) -> str:
    return f"runs/{run}/questions.jsonl"
