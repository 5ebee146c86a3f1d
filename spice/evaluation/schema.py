"""The evaluation report as it is stored: `evaluations/<digest>.json`.

It is read by the gate, the run report and people, so it holds every figure with
its n and its interval, and every single answer, which makes the figures checkable.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from spice.evaluation.items import SuiteKind
from spice.evaluation.verdicts import Verdict

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Change = Annotated[float, Field(ge=-1.0, le=1.0)]
Count = Annotated[int, Field(ge=0)]


class Part(BaseModel):
    """A frozen part of the report that refuses unknown fields and what JSON has no word for."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class PassRate(Part):
    """One model on one suite; bounds are Wilson's, 95%."""

    rate: Share
    low: Share
    high: Share
    correct: Count
    unanswered: Count = Field(description="responses in which no answer was found; they count as wrong")
    truncated: Count = Field(description="responses cut off at the length limit")


class DifferenceFigures(Part):
    """Candidate minus base."""

    value: Change
    low: Change
    high: Change
    method: str
    lower_bound: Change = Field(description="one-sided 95% bound, for non-inferiority")


class SuiteFigures(Part):
    """One suite."""

    n: int = Field(ge=1)
    metric: str = "accuracy"
    kind: SuiteKind
    clusters: int = Field(ge=1, description="independent units: documents for cloze, items for reasoning")
    candidate: PassRate
    base: PassRate
    difference: DifferenceFigures
    discordant: Count = Field(description="items that exactly one of the two gets right")
    mcnemar_p: Share
    margin: Share = Field(description="largest loss that counts as not worse")
    verdict: Verdict
    reason: str


class HitRecord(Part):
    """One item that stands in training text."""

    suite: str
    item: str
    where: str
    words: str


class ContaminationFigures(Part):
    """What the n-gram check found."""

    n_gram: int
    items: Count
    testable: Count = Field(description="items long enough to look for")
    hits: Count
    share: Share = Field(description="hits per testable item")
    examples: tuple[HitRecord, ...]


class Answer(Part):
    """One model's answer to one item."""

    correct: bool
    answer: str | None
    response: str


class ItemRecord(Part):
    """One item with both models' answers."""

    id: str
    cluster: str
    question: str
    options: tuple[str, ...]
    gold: str
    base: Answer
    candidate: Answer


class Settings(Part):
    """What the figures depend on besides the models and the documents."""

    seed: int
    bootstrap_samples: int
    max_tokens: int
    template: str
    few_shot: int
    min_improvement: float
    regression_margin: Share


class EvaluationReport(Part):
    """The whole report."""

    candidate: str
    base: str
    corpus: str
    run: str
    suites: dict[str, SuiteFigures]
    contamination: ContaminationFigures
    items: dict[str, tuple[ItemRecord, ...]]
    settings: Settings
