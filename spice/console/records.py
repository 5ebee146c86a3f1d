"""What the console shows: the answers of its HTTP API, and all that its pages draw.

A reference (`checkpoints/<digest>`) is shown whole; times are ISO 8601 in UTC; shares and rates lie in [0, 1].
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from spice.evaluation.schema import ContaminationFigures, ItemRecord, SuiteFigures
from spice.reporting.records import Iteration

RequestState = Literal["waiting", "approved", "released", "rejected", "revoked", "overtaken", "unreadable"]


class Record(BaseModel):
    """Frozen and complete: every field is always there."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Switch(Record):
    """The kill-switch. `live` is what may be served now."""

    engaged: bool
    by: str = Field(description="who engaged or released it last, or empty")
    reason: str
    consents: tuple[str, ...] = Field(description="operators who agreed to release it")
    live: str | None
    problem: str = Field(description="what cannot be read, or empty; what cannot be read counts as engaged")


class LedgerState(Record):
    """Whether the ledger is what was written."""

    sound: bool
    entries: int = Field(ge=0, description="entries that were verified")
    head: str = Field(description="hash of the last verified entry, or empty")
    verified: str = Field(description="when all of it was last verified")
    problem: str


class LedgerEntry(Record):
    """One entry, in the ledger's words and in plain ones."""

    sequence: int = Field(ge=0)
    time: str
    actor: str
    action: str
    subject: str
    told: str = Field(description="what happened, as a sentence")
    reason: str
    body: dict[str, object]


class LedgerPage(Record):
    """Some entries, the newest first."""

    state: LedgerState
    entries: tuple[LedgerEntry, ...]
    older: int | None = Field(description="ask with `before` of this for the entries before these; none if none are")


class Release(Record):
    """A time at which something became live."""

    sequence: int
    time: str
    checkpoint: str
    request: str
    evaluation: str
    requester: str
    approvers: tuple[str, ...]
    releaser: str
    revoked: bool


class Approval(Record):
    """What one person said of a request."""

    name: str
    verdict: Literal["approve", "reject"]


class RequestSummary(Record):
    """A request to release something."""

    ref: str
    state: RequestState
    candidate: str
    requester: str
    time: str
    needed: int = Field(ge=0, description="approvals needed")
    approvers: tuple[str, ...]
    told: str = Field(description="where it stands and what happens next, as a sentence")


class Change(Record):
    """One line of the difference between what is live and what is asked for."""

    name: str
    live: str
    asked: str


class RequestDetail(RequestSummary):
    """A request with all that an approver needs."""

    base: str
    corpus: str
    run: str
    evaluation: str
    decision: str
    replaces: str | None
    outcome: str
    reasons: tuple[str, ...] = Field(description="the gate's")
    warnings: tuple[str, ...] = Field(description="what training warned of")
    policy: str = Field(description="digest of the gate's policy")
    suites: dict[str, SuiteFigures]
    changes: tuple[Change, ...]
    problems: tuple[str, ...] = Field(description="approvals that do not count, and evidence that cannot be read")
    history: tuple[LedgerEntry, ...]


class RunSummary(Record):
    """A run."""

    name: str
    status: str
    corpus: str | None
    base: str | None
    checkpoint: str | None
    evaluation: str | None
    decision: str | None
    request: str | None


class RunDetail(RunSummary):
    """A run with what each iteration measured."""

    told: str = Field(description="its result as a sentence")
    planned: int | None = Field(description="iterations that it is to have")
    iterations: tuple[Iteration, ...]
    problems: tuple[str, ...]


class DatasetSummary(Record):
    """A dataset version."""

    ref: str
    name: str
    latest: bool
    counts: dict[str, int]
    problem: str


class LeftOut(Record):
    """A document that is not in the dataset, and why."""

    source: str
    stage: str
    reason: str


class DatasetDetail(DatasetSummary):
    """A dataset version with what was left out of it and what was made from it."""

    left_out: tuple[LeftOut, ...] = Field(description="the first ones")
    left_out_count: int
    runs: tuple[str, ...]


class CheckpointSummary(Record):
    """A checkpoint; base models are checkpoints, too."""

    ref: str
    kind: str
    run: str
    iteration: int | None
    size: int = Field(ge=0, description="bytes")
    standing: Literal["live", "released", "revoked", "never released"]
    problem: str


class File(Record):
    """A file of an artifact."""

    name: str
    sha256: str
    size: int


class CheckpointDetail(CheckpointSummary):
    """A checkpoint with its origin and what became of it."""

    model: str
    base: str
    corpus: str
    code: str
    files: tuple[File, ...]
    evaluations: tuple[str, ...]
    releases: tuple[Release, ...]


class EvaluationDetail(Record):
    """A candidate compared with its base on the same items."""

    ref: str
    candidate: str
    base: str
    corpus: str
    run: str
    suites: dict[str, SuiteFigures]
    contamination: ContaminationFigures


Shown = Literal["all", "changed", "gained", "lost", "wrong"]


class ItemPage(Record):
    """Items of one suite with both answers."""

    ref: str
    suite: str
    show: Shown
    page: int = Field(ge=1)
    pages: int = Field(ge=1)
    total: int = Field(ge=0, description="items that fit `show`")
    items: tuple[ItemRecord, ...]


class Passage(Record):
    """A piece of a document, and where in which file it stands."""

    ref: str = Field(description="of the dataset version")
    segment: str
    source: str
    title: str
    unit: str
    start: int
    end: int
    place: str = Field(description="where it stands, in words")
    sha256: str
    split: str
    text: str


class TaskRow(Record):
    """A task that a run posed."""

    iteration: int
    row: int = Field(ge=0, description="position among the iteration's tasks")
    question: str
    answer: str
    source: str
    segment: str
    valid: bool
    trained: bool


class TaskPage(Record):
    """Tasks of one iteration."""

    run: str
    iteration: int
    iterations: int = Field(description="iterations with tasks")
    page: int
    pages: int
    total: int
    tasks: tuple[TaskRow, ...]


class Step(Record):
    """One step of a lineage."""

    kind: str
    name: str
    ref: str | None
    told: str
    link: str | None


class Lineage(Record):
    """From a release down to where its documents are."""

    checkpoint: str
    steps: tuple[Step, ...]


class Overview(Record):
    """What somebody wants to know first."""

    switch: Switch
    ledger: LedgerState
    live: Release | None
    waiting: tuple[RequestSummary, ...]
    runs: tuple[RunSummary, ...]


class Visitor(Record):
    """Who is asking."""

    name: str | None
    roles: tuple[str, ...]
    method: str = Field(description="how they proved who they are, or empty")
    csrf: str | None = Field(description="to be sent as X-CSRF-Token with every action")


class Problem(Record):
    """Why something was not done."""

    error: str
    message: str
