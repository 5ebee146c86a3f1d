"""The HTTP API, reading: the same records that the pages draw. Documented at `/api/openapi.json`."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from spice.console.records import (
    CheckpointDetail,
    CheckpointSummary,
    DatasetDetail,
    DatasetSummary,
    EvaluationDetail,
    ItemPage,
    LedgerPage,
    Lineage,
    Overview,
    Passage,
    Problem,
    RequestDetail,
    RequestSummary,
    RunDetail,
    RunSummary,
    Shown,
    Switch,
    TaskPage,
    Visitor,
)
from spice.console.views import checkpoints, datasets, evaluations, ledger, lineage, overview, requests, runs
from spice.console.web import Digest, Name, Segment, Visiting

PageNumber = Annotated[int, Query(ge=1, le=1_000_000)]

_ANSWERS = {
    401: "the token does not count",
    404: "not in the store",
    409: "refused; nothing can be said",
    429: "too many unknown tokens",
    503: "the store, or whoever issued the token, cannot be asked",
}
router = APIRouter(
    prefix="/api",
    tags=["reading"],
    responses={status: {"model": Problem, "description": text} for status, text in _ANSWERS.items()},
)


@router.get("/overview")
def read_overview(here: Visiting) -> Overview:
    """What is live, what waits for approval, the latest runs, the switch, and whether the ledger is sound."""
    console = here.console
    return overview.read(console.store, here.look(), console.config.promotion, console.clock())


@router.get("/visitor")
def read_visitor(here: Visiting) -> Visitor:
    """Who is asking, and the CSRF token for their actions."""
    person = here.person
    if person is None:
        return Visitor(name=None, roles=(), method="", csrf=None)
    return Visitor(name=person.name, roles=person.roles, method=person.principal.method, csrf=here.token)


@router.get("/switch")
def read_switch(here: Visiting) -> Switch:
    """The kill-switch."""
    return ledger.switch(here.look())


@router.get("/runs")
def list_runs(here: Visiting) -> tuple[RunSummary, ...]:
    """Every run."""
    return runs.summaries(here.console.store)


@router.get("/runs/{name}")
def read_run(here: Visiting, name: Name) -> RunDetail:
    """One run with what each iteration measured."""
    return runs.detail(here.console.runs.read(name))


@router.get("/runs/{name}/tasks/{iteration}")
def read_tasks(here: Visiting, name: Name, iteration: int, page: PageNumber = 1) -> TaskPage:
    """The tasks that a run posed in one iteration."""
    return runs.tasks(here.console.store, name, iteration, page)


@router.get("/datasets")
def list_datasets(here: Visiting) -> tuple[DatasetSummary, ...]:
    """Every dataset version."""
    return datasets.summaries(here.console.store)


@router.get("/datasets/{name}/{digest}")
def read_dataset(here: Visiting, name: Name, digest: Digest) -> DatasetDetail:
    """One dataset version."""
    return datasets.detail(here.console.store, name, digest)


@router.get("/datasets/{name}/{digest}/segments/{segment}")
def read_passage(here: Visiting, name: Name, digest: Digest, segment: Segment) -> Passage:
    """One passage, and where in which file it stands."""
    return datasets.passage(here.console.store, name, digest, segment)


@router.get("/checkpoints")
def list_checkpoints(here: Visiting) -> tuple[CheckpointSummary, ...]:
    """Every checkpoint."""
    return checkpoints.summaries(here.console.store, here.look())


@router.get("/checkpoints/{digest}")
def read_checkpoint(here: Visiting, digest: Digest) -> CheckpointDetail:
    """One checkpoint."""
    return checkpoints.detail(here.console.store, f"checkpoints/{digest}", here.look())


@router.get("/checkpoints/{digest}/lineage")
def read_lineage(here: Visiting, digest: Digest) -> Lineage:
    """From a checkpoint's release down to its documents."""
    return lineage.trace(here.console.store, digest, here.look())


@router.get("/evaluations/{digest}")
def read_evaluation(here: Visiting, digest: Digest) -> EvaluationDetail:
    """The figures of one evaluation."""
    return evaluations.detail(here.console.store, digest)


@router.get("/evaluations/{digest}/items/{suite}")
def read_items(here: Visiting, digest: Digest, suite: str, show: Shown = "all", page: PageNumber = 1) -> ItemPage:
    """Items of one suite with the answers of base and candidate."""
    return evaluations.items(here.console.store, digest, suite, show, page)


@router.get("/requests")
def list_requests(here: Visiting) -> tuple[RequestSummary, ...]:
    """Every request, the open ones first."""
    return requests.summaries(here.look(), here.console.config.promotion, here.console.clock())


@router.get("/requests/{digest}")
def read_request(here: Visiting, digest: Digest) -> RequestDetail:
    """One request with the gate's reasons and the evidence."""
    console = here.console
    return requests.detail(console.store, digest, here.look(), console.config.promotion, console.clock())


@router.get("/ledger")
def read_ledger(
    here: Visiting,
    before: Annotated[int | None, Query(ge=0)] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = ledger.PAGE,
) -> LedgerPage:
    """Entries of the ledger, the newest first, and whether all of it is sound."""
    return ledger.page(here.look(), before, limit)
