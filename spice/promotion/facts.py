"""What the gate policy is told: the facts about one candidate, validated and in one JSON shape.

`spice gate schema` prints the JSON schema, for authors of their own policy.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from spice.config import PromotionConfig


class Facts(BaseModel):
    """A group of facts. Reports may say more than a policy is told; that is left out."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class Rate(Facts):
    """A share with its interval."""

    rate: float = Field(ge=0.0, le=1.0)
    low: float = Field(ge=0.0, le=1.0)
    high: float = Field(ge=0.0, le=1.0)
    correct: int = Field(ge=0)


class Difference(Facts):
    """Candidate minus base, with its interval."""

    value: float = Field(ge=-1.0, le=1.0)
    low: float = Field(ge=-1.0, le=1.0)
    high: float = Field(ge=-1.0, le=1.0)
    lower_bound: float = Field(ge=-1.0, le=1.0, description="one-sided 95% bound, for non-inferiority")
    method: str


class SuiteFacts(Facts):
    """One suite, without its items."""

    n: int = Field(ge=1, description="items")
    metric: str
    kind: str
    candidate: Rate
    base: Rate
    difference: Difference
    mcnemar_p: float = Field(ge=0.0, le=1.0)
    p_value: float = Field(1.0, ge=0.0, le=1.0, description="two-sided and paired; respects clusters")
    holm_p: float = Field(1.0, ge=0.0, le=1.0, description="the same, adjusted for all suites but the primary one")
    clusters: int = Field(ge=1, description="documents or task families that the interval resamples")
    verdict: str


class Contamination(Facts):
    """How many evaluation items stand in training text."""

    n_gram: int = Field(ge=1)
    items: int = Field(ge=0)
    testable: int = Field(ge=0, description="items long enough to be told from coincidence")
    hits: int = Field(ge=0)
    share: float = Field(ge=0.0, le=1.0)
    longest: int = Field(0, ge=0, description="words in the longest run that an item shares with training text")


class SideEffect(Facts):
    """Something that may rise while scores rise: candidate minus base, so that above 0 is worse."""

    n: int = Field(ge=1)
    clusters: int = Field(ge=1)
    base: float
    candidate: float
    value: float
    low: float
    high: float
    upper_bound: float = Field(description="one-sided 95% bound")
    measure: str


class Agreement(Facts):
    """How often the judge and the rules say the same."""

    n: int = Field(ge=0)
    rate: float = Field(ge=0.0, le=1.0)
    low: float = Field(ge=0.0, le=1.0)
    high: float = Field(ge=0.0, le=1.0)
    kappa: float = Field(description="agreement beyond chance; 1 is perfect, 0 is chance")


class Judge(Facts):
    """The independent judge of equivalence."""

    model: str
    lineage: tuple[str, ...]
    asked: int = Field(ge=0)
    equivalent: int = Field(ge=0)
    inconclusive: int = Field(ge=0)
    agreement: Agreement


class Health(Facts):
    """What training said about itself."""

    warnings: tuple[str, ...] = ()
    failures: tuple[str, ...] = Field((), description="any of these stops a release")


class Provenance(Facts):
    """Whether the candidate can be followed back to its documents."""

    complete: bool
    missing: tuple[str, ...] = ()


class Settings(Facts):
    """The thresholds of `PromotionConfig`. Not the policy's path: the decision names the policy by its digest."""

    primary_suite: str
    min_improvement: float
    regression_margin: float
    margins: dict[str, float] = Field({}, description="by suite, where another margin than regression_margin holds")
    required_suites: tuple[str, ...] = ()
    side_effect_margins: dict[str, float] = Field({}, description="largest rise, by side effect")
    min_judge_agreement: float = Field(0.0, description="what the lower bound of the judge's agreement must reach")
    max_contamination: float
    approvals: int
    approvers: tuple[str, ...] = ()
    approvals_from: dict[str, int] = Field(default_factory=dict)
    approval_hours: float


class GateFacts(Facts):
    """All that a gate policy sees, as `input`."""

    candidate: str
    base: str
    corpus: str
    run: str
    evaluation: str
    suites: dict[str, SuiteFacts]
    contamination: Contamination
    side_effects: dict[str, SideEffect] = {}
    judge: Judge | None = None
    health: Health
    provenance: Provenance
    settings: Settings


def settings_of(config: PromotionConfig) -> Settings:
    """The part of the configuration that a policy sees."""
    return Settings.model_validate(config.model_dump())


def schema() -> dict[str, Any]:
    """The JSON schema of the facts."""
    return GateFacts.model_json_schema()


def text() -> str:
    """The schema as it stands in `docs/gate-facts.schema.json`."""
    return json.dumps(schema(), indent=2) + "\n"
