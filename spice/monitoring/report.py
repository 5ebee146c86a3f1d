"""The drift report as it is stored: `drift/<digest>.json`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from spice.config import DriftConfig
from spice.errors import IntegrityError
from spice.monitoring.samples import Kind
from spice.store import artifacts
from spice.store.base import ObjectStore

PREFIX = "drift"

Feature = Literal["length", "trigrams"]
Statistic = Literal["ks", "jensen_shannon", "mmd"]


class Part(BaseModel):
    """A frozen part of the report that refuses unknown fields and what JSON has no word for."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Side(Part):
    """One of the two samples."""

    ref: str
    part: str = Field(description="which of its units were eligible")
    available: int = Field(ge=0)
    drawn: int = Field(ge=0)
    median_length: float = Field(ge=0.0, description="of the drawn units, in characters")


class TestRecord(Part):
    """One permutation test."""

    feature: Feature
    statistic: Statistic
    value: float
    threshold: float
    p_value: float = Field(ge=0.0, le=1.0)
    drifted: bool


class PassRateRecord(Part):
    """One direction of the change-point test on a run's pass rate."""

    direction: Literal["up", "down"]
    value: float
    threshold: float
    detected: bool
    since: int | None = Field(description="the first iteration after the change")


class DriftReport(Part):
    """The whole report. It holds no time, so the same check gives the same report."""

    subject: Kind
    corpus: str = Field(description="name of the dataset that the current side belongs to, or empty")
    reference: Side
    current: Side
    shared: int = Field(ge=0, description="units that both sides have; they cannot drift")
    tests: tuple[TestRecord, ...]
    pass_rate: tuple[PassRateRecord, ...] = ()
    drifted: bool
    settings: DriftConfig


def save(store: ObjectStore, report: DriftReport) -> str:
    """Store a report and return its reference, `drift/<digest>`."""
    return artifacts.write_json(store, PREFIX, report.model_dump(mode="json"))


def load(store: ObjectStore, ref: str) -> DriftReport:
    """Read a report back.

    Raises:
        NotFoundError: there is none of that reference.
        IntegrityError: it was changed, or is not a drift report.
    """
    document: dict[str, Any] = artifacts.read_json(store, ref)
    try:
        return DriftReport.model_validate(document)
    except ValidationError as error:
        raise IntegrityError(f"{ref} in {store.url} is not a drift report of this version: {error}") from error
