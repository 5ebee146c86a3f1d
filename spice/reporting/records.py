"""What a report reads of a run. Everything may be missing, because a run may have been stopped anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from spice.evaluation.schema import EvaluationReport
from spice.promotion.gate import Decision


class Record(BaseModel):
    """Frozen, and indifferent to fields that a report does not show."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class RunInfo(Record):
    """`run.json`: how the run ended and the references of what it used and made."""

    status: str = "unknown"
    corpus: str | None = None
    base: str | None = None
    checkpoint: str | None = None
    evaluation: str | None = None
    decision: str | None = None
    request: str | None = None
    code: str | None = None


class ChallengerMetrics(Record):
    """One iteration of the Challenger. Rates are shares in [0, 1], entropy is nats per token."""

    reward_mean: float | None = None
    valid_rate: float | None = None
    entropy: float | None = None
    tokens_mean: float | None = None
    truncated: float | None = None


class ReasonerMetrics(Record):
    """One iteration of the Reasoner, in the same units."""

    reward_mean: float | None = None
    pass_rate: float | None = None
    entropy: float | None = None
    tokens_mean: float | None = None
    truncated: float | None = None


class TaskMetrics(Record):
    """Shares of the valid tasks of one iteration."""

    valid: int | None = None
    zero_variance_share: float | None = None
    all_wrong_share: float | None = None
    all_right_share: float | None = None


class AuditMetrics(Record):
    """How often the policy, shown the document, agrees with the gold answer."""

    n: int = 0
    agree_share: float | None = None


class OracleMetrics(Record):
    """What an oracle says, where there is one: true gold answers, and true answers, as shares."""

    n: int = 0
    label_accuracy: float | None = None
    pass_rate: float | None = None


class LearnerMetrics(Record):
    """The update. Log-prob gaps are between engine and learner, in nats."""

    loss: float | None = None
    grad_norm: float | None = None
    logprob_gap_mean: float | None = None
    logprob_gap_max: float | None = None
    mismatch_kl: float | None = None
    importance_ess: float | None = None
    role_norms: dict[str, float | None] = {}


class Speed(Record):
    """What the machines did; shares, and tokens a second."""

    generated_tokens_per_second: float | None = None
    trained_tokens_per_second: float | None = None
    engine_idle_share: float | None = None
    prompt_cached_share: float | None = None
    padding_share: float | None = None
    mfu: float | None = None


class Iteration(Record):
    """`iterations/<n>.json`."""

    iteration: int
    challenger: ChallengerMetrics = ChallengerMetrics()
    reasoner: ReasonerMetrics = ReasonerMetrics()
    tasks: TaskMetrics = TaskMetrics()
    audit: AuditMetrics = AuditMetrics()
    oracle: OracleMetrics = OracleMetrics()
    learner: LearnerMetrics = LearnerMetrics()
    speed: Speed = Speed()
    health: dict[str, float | None] = {}
    warnings: tuple[str, ...] = ()
    seconds: dict[str, float | None] = {}


class Attempt(Record):
    """One row of `tasks/<n>.parquet`: a Challenger attempt and what the Reasoner made of it."""

    iteration: int
    document: str
    source: str = ""
    valid: bool
    reason: str = ""
    raw: str = ""
    format: str = ""
    question: str = ""
    answer: str = ""
    options: tuple[str, ...] = ()
    reward: float | None = None
    pass_rate: float | None = None
    responses: tuple[str, ...] = ()
    extracted: tuple[str | None, ...] = ()
    correct: tuple[bool, ...] = ()
    trained: bool = False
    audit_answer: str | None = None
    audit_agrees: bool | None = None


class Rate(Record):
    """A share with its 95% interval."""

    value: float
    low: float
    high: float


class CoevolutionCell(Record):
    """One Challenger's tasks before one Reasoner, each named by the iteration of its checkpoint.

    `passed` counts answers that equal the gold answer, `true` those that are true by an oracle, where there is one.
    """

    challenger: int
    reasoner: int
    tasks: int = 0
    passed: Rate | None = None
    true: Rate | None = None


class CoevolutionChange(Record):
    """How one of the paper's two curves moved from its first checkpoint to its last."""

    series: Literal["early_reasoner", "early_challenger"]
    passed: Rate | None = None
    true: Rate | None = None


class Coevolution(Record):
    """`coevolution.json`, as `spice.evaluation.coevolution` computes it."""

    cells: tuple[CoevolutionCell, ...] = ()
    changes: tuple[CoevolutionChange, ...] = ()

    @property
    def rows(self) -> list[list[CoevolutionCell]]:
        """The matrix: one row a Challenger, the earliest first; in it one cell a Reasoner."""
        challengers = sorted({cell.challenger for cell in self.cells})
        return [[cell for cell in self.cells if cell.challenger == challenger] for challenger in challengers]


class CorpusManifest(Record):
    """`manifest.json` of the dataset version."""

    name: str = ""
    counts: dict[str, int] = {}
    files: dict[str, Any] = {}


class Passage(Record):
    """The segment of a document that a task came from."""

    text: str
    title: str = ""


class Run(Record):
    """All of a run that could be read."""

    name: str
    info: RunInfo
    iterations: tuple[Iteration, ...] = ()
    samples: tuple[Attempt, ...] = ()
    passages: dict[str, Passage] = {}
    corpus: CorpusManifest | None = None
    evaluation: EvaluationReport | None = None
    decision: Decision | None = None
    coevolution: Coevolution | None = None
    config: dict[str, Any] | None = None
    problems: Sequence[str] = ()
