"""What one arm of a comparison leaves behind."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from spice.errors import IntegrityError
from spice.reporting.records import CoevolutionChange
from spice.store import ObjectStore

Share = Annotated[float, Field(ge=0.0, le=1.0)]


class Part(BaseModel):
    """A frozen part of a result that refuses unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Reading(Part):
    """The test, taken at a checkpoint."""

    iteration: int = Field(ge=0)
    tokens: int = Field(ge=0, description="generated since the start, by both roles and the gold audit")
    seconds: float = Field(ge=0.0, description="of self-play since the start")
    answers: str = Field(pattern="^[01]+$", description="1 for each item answered right, in the order of the test")

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Right answers, shape [items]."""
        return np.array([answer == "1" for answer in self.answers], dtype=np.bool_)


class LabelReading(Part):
    """What the oracle and the gold audit said of an iteration's tasks."""

    iteration: int
    label_accuracy: Share | None = Field(description="share of gold answers that are true, by the oracle")
    audit_agrees: Share | None = Field(description="share of gold answers that the policy gives with the document")
    pass_rate: Share | None = Field(description="share of answers that equal the gold answer")
    true_rate: Share | None = Field(description="share of answers that are true, by the oracle")


class ArmResult(Part):
    """One recipe with one seed."""

    world: str
    recipe: str
    seed: int
    warm_start: str
    learning_rate: float
    updates: int
    run: str
    readings: tuple[Reading, ...] = Field(min_length=1)
    labels: tuple[LabelReading, ...]
    coevolution: tuple[CoevolutionChange, ...] = Field(
        (), description="how each role moved against the other's beginning, where the Challenger learns"
    )
    alarms: dict[str, int] = Field(description="iterations in which each alarm was raised, by its name")


def save(store: ObjectStore, key: str, result: ArmResult) -> None:
    """Keep a result under `arena/arms/<key>.json`."""
    store.put(_path(key), result.model_dump_json().encode())


def load(store: ObjectStore, key: str) -> ArmResult | None:
    """The result of an arm, or `None` if it is not finished. Raises `IntegrityError`."""
    path = _path(key)
    if store.head(path) is None:
        return None
    try:
        return ArmResult.model_validate_json(store.get(path))
    except ValidationError as error:
        raise IntegrityError(f"{path} in {store.url} is damaged. Delete it, and the arm is evaluated anew.") from error


def _path(key: str) -> str:
    return f"arena/arms/{key}.json"
