"""What the store says of a run: `runs/<run>/run.json`, who plays it, and where it stands."""

from __future__ import annotations

import json
from typing import Any

from pydantic import TypeAdapter, ValidationError

from spice.config import Config
from spice.errors import ConflictError, TrainingError
from spice.store.base import ObjectStore
from spice.training.checkpoints import Pointer
from spice.training.halting import refuse_stopped
from spice.training.posing import keep_questions, read_questions
from spice.version import code_version

_INFO = TypeAdapter(dict[str, Any])
_RACES = 20


def update_run(store: ObjectStore, run: str, **fields: Any) -> None:
    """Change fields of `runs/<run>/run.json`, and no others, whoever else writes to it. Raises `TrainingError`."""
    key = f"runs/{run}/run.json"
    for _ in range(_RACES):
        data, etag = store.read(key) or (b"", "")
        try:
            info = _INFO.validate_json(data)
        except ValidationError as error:
            raise TrainingError(f"{key} in {store.url} is gone or is no JSON object; start a new run.") from error
        try:
            store.swap(key, json.dumps(info | fields, sort_keys=True).encode(), etag)
        except ConflictError:
            continue
        return
    raise TrainingError(f"{key} in {store.url} changes all the time; end the other processes of this run.")


def begin(store: ObjectStore, corpus: str, base: str, config: Config, run: str) -> Pointer:
    """Enter a new run in the store. Raises `TrainingError` if there is one of that name."""
    info = {"status": "training", "corpus": corpus, "base": base, "code": code_version()}
    path = config.recipe.question_set
    given = read_questions(path) if path is not None else None
    try:
        store.create(f"runs/{run}/run.json", json.dumps(info, sort_keys=True).encode())
    except ConflictError as error:
        raise TrainingError(
            f"There is a run {run} already. Go on with --resume {run}, or choose another name."
        ) from error
    if given is not None:
        keep_questions(store, run, given)
    store.put(f"runs/{run}/config.json", json.dumps(config.model_dump(mode="json"), indent=2).encode())
    return Pointer(store, run)


def go_on(store: ObjectStore, base: str, run: str, iteration: int | None = None) -> Pointer:
    """Take a run over where it stands, or go back with it to an earlier state.

    Args:
        store: where the run is.
        base: reference of the base model.
        run: its name.
        iteration: the state after this one is taken up, if not the last.

    Raises:
        TrainingError: no such state is kept, it began with another base model, or somebody else has just taken it over.
        RefusedError: an alarm has stopped it for good.
    """
    refuse_stopped(store, run)
    pointer = Pointer(store, run)
    if pointer.state and pointer.state.checkpoints[0][1] != base:
        raise TrainingError(
            f"Run {run} began with another base model ({pointer.state.checkpoints[0][1]}); start a new run."
        )
    pointer.take_over(iteration)
    update_run(store, run, status="training")
    return pointer
