"""What a run recorded, read object by object: figures of each iteration, status and arm."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from spice.errors import IntegrityError
from spice.store.base import ObjectStore

Figures = Mapping[str, float]

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_OBJECT = TypeAdapter(dict[str, Any])


@dataclass(frozen=True)
class Arm:
    """What tells runs apart without naming them: a new run of the same arm goes on with its time series."""

    corpus: str
    recipe: str
    seed: str

    def labels(self) -> dict[str, str]:
        """As Prometheus labels."""
        return {"corpus": self.corpus, "recipe": self.recipe, "seed": self.seed}


class RunInfo(BaseModel):
    """What is used of `run.json`."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    status: str = "unknown"
    corpus: str | None = None


class _Recipe(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str = "unknown"
    group_size: int = Field(0, ge=0)


class _Training(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    iterations: int = Field(640, ge=1)


class RunConfig(BaseModel):
    """What is used of `config.json`; older and newer versions of the configuration have it, too."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    seed: int = 0
    recipe: _Recipe = _Recipe()
    training: _Training = _Training()


def iteration_key(run: str, number: int) -> str:
    """The key of an iteration's record."""
    return f"runs/{run}/iterations/{number:06d}.json"


def read_iteration(store: ObjectStore, run: str, number: int) -> Figures:
    """Every finite figure of an iteration, by dotted path, such as `challenger.valid_rate`.

    `warnings` is their number, and `alarms.<name>` is 1 for each alarm.

    Raises:
        NotFoundError: it has not been played.
        IntegrityError: the record is damaged.
    """
    key = iteration_key(run, number)
    record = read_object(store, key)
    if record.get("iteration") != number:
        raise IntegrityError(f"{key} in {store.url} is not the record of iteration {number}.")
    alarms = {f"alarms.{name}": 1.0 for name in _strings(record, "alarms") if _NAME.fullmatch(name)}
    return {**dict(_figures("", record)), **alarms, "warnings": float(len(_strings(record, "warnings")))}


def read_info(store: ObjectStore, run: str) -> RunInfo:
    """The run's status and corpus. Raises `NotFoundError` or `IntegrityError`."""
    key = f"runs/{run}/run.json"
    try:
        return RunInfo.model_validate(read_object(store, key))
    except ValidationError as error:
        raise IntegrityError(f"{key} in {store.url} is damaged: {error}") from error


def read_config(store: ObjectStore, run: str) -> RunConfig:
    """What the run was asked to do. Raises `NotFoundError` or `IntegrityError`."""
    key = f"runs/{run}/config.json"
    try:
        return RunConfig.model_validate(read_object(store, key))
    except ValidationError as error:
        raise IntegrityError(f"{key} in {store.url} is damaged: {error}") from error


def corpus_name(info: RunInfo) -> str:
    """The dataset's name, or empty."""
    parts = (info.corpus or "").split("/")
    return parts[1] if len(parts) == 3 and parts[0] == "datasets" else ""


def run_corpus(store: ObjectStore, run: str) -> str:
    """Name of the dataset that a run was trained on, or empty. Raises `NotFoundError` or `IntegrityError`."""
    return corpus_name(read_info(store, run))


def pass_rates(store: ObjectStore, run: str) -> list[tuple[int, float]]:
    """(iteration, pass rate of the Reasoner) of all iterations that have one. Raises `IntegrityError`."""
    found = []
    for info in store.list(f"runs/{run}/iterations/"):
        number = int(info.key.rpartition("/")[2].removesuffix(".json"))
        rate = read_iteration(store, run, number).get("reasoner.pass_rate")
        if rate is not None:
            found.append((number, rate))
    return found


def read_object(store: ObjectStore, key: str) -> dict[str, Any]:
    """A JSON object under `key`. Raises `NotFoundError` or `IntegrityError`."""
    try:
        return _OBJECT.validate_json(store.get(key))
    except ValidationError as error:
        raise IntegrityError(f"{key} in {store.url} is not a JSON object. Restore it from a backup.") from error


def _strings(record: Mapping[str, Any], name: str) -> list[str]:
    found = record.get(name)
    return [one for one in found if isinstance(one, str)] if isinstance(found, list) else []


def _figures(path: str, value: object) -> Iterator[tuple[str, float]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _figures(f"{path}.{name}" if path else str(name), inner)
    elif isinstance(value, int | float) and math.isfinite(value):
        yield path, float(value)
