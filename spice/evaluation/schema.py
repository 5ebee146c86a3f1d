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
    """One model on one suite. 95% bounds: Wilson's, and no narrower than the bootstrap's where items share clusters."""

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
    mcnemar_p: Share = Field(description="exact and two-sided; ignores clusters")
    p_value: Share = Field(1.0, description="two-sided and paired; a sign-flip test where items share clusters")
    holm_p: Share = Field(1.0, description="the same, by Holm across all suites but the primary one and repetitions")
    margin: Share = Field(description="largest loss that counts as not worse")
    verdict: Verdict
    reason: str

    @property
    def shown_p(self) -> str:
        """The p-value behind the verdict, for people: it respects clusters and is adjusted for the other suites."""
        return "< 0.001" if self.holm_p < 0.001 else f"{self.holm_p:.3f}"


class SideEffect(Part):
    """Something that may rise while scores rise; candidate minus base, so that above 0 is worse."""

    n: int = Field(ge=1)
    clusters: int = Field(ge=1)
    base: float
    candidate: float
    value: float
    low: float
    high: float
    upper_bound: float = Field(description="one-sided 95% bound, for the gate")
    measure: str


class Agreement(Part):
    """How often the judge and the rules say the same of a random slice of answers."""

    n: Count
    rate: Share
    low: Share
    high: Share
    kappa: float = Field(description="Cohen's: agreement beyond chance; 1 is perfect, 0 is chance")


class JudgeFigures(Part):
    """What the independent judge did."""

    model: str
    lineage: tuple[str, ...]
    asked: Count = Field(description="answers that the rules call wrong and that were put to the judge")
    equivalent: Count = Field(description="of these, judged to be the gold answer in other words; they count as right")
    inconclusive: Count = Field(description="no usable answer from the judge; they count as wrong")
    agreement: Agreement


class HitRecord(Part):
    """One item that stands in training text."""

    suite: str
    item: str
    where: str
    words: str
    longest: Count = Field(0, description="words in the longest run that item and text share")


class ContaminationFigures(Part):
    """What the n-gram check found."""

    n_gram: int
    items: Count
    testable: Count = Field(description="items long enough to look for")
    hits: Count
    share: Share = Field(description="hits per testable item")
    longest: Count = Field(0, description="words in the longest run that any item shares with a training text")
    examples: tuple[HitRecord, ...]


class Answer(Part):
    """One model's answer to one item."""

    correct: bool
    answer: str | None
    response: str
    confidence: Share | None = None


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
    margins: dict[str, float] = {}


class EvaluationReport(Part):
    """The whole report."""

    candidate: str
    base: str
    corpus: str
    run: str
    suites: dict[str, SuiteFigures]
    contamination: ContaminationFigures
    side_effects: dict[str, SideEffect] = Field({}, description="by name, such as bias_amplification")
    judge: JudgeFigures | None = None
    items: dict[str, tuple[ItemRecord, ...]]
    settings: Settings
