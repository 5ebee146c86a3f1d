"""The pages that people read. Nobody has to log in for them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from spice.console import may
from spice.console.api import PageNumber
from spice.console.draw import page, state_digest
from spice.console.records import Shown
from spice.console.security import REPORT_POLICY
from spice.console.views import checkpoints, datasets, evaluations, ledger, lineage, overview, requests, runs
from spice.console.web import Digest, Name, Segment, Visiting
from spice.reporting import figures, render
from spice.reporting.report import bars

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)


@router.get("/")
def show_overview(here: Visiting) -> HTMLResponse:
    """What is live, and what waits for somebody."""
    seen = here.look()
    found = overview.read(here.console.store, seen, here.console.config.promotion, here.console.clock())
    return page(here, "overview", seen=seen, found=found)


@router.get("/runs")
def show_runs(here: Visiting) -> HTMLResponse:
    """Every run."""
    return page(here, "runs", runs=runs.summaries(here.console.store))


@router.get("/runs/{name}")
def show_run(here: Visiting, name: Name) -> HTMLResponse:
    """One run; the page reloads its curves while it is running."""
    run = here.console.runs.read(name)
    return page(
        here,
        "run",
        run=run,
        detail=runs.detail(run),
        curves=figures.curves(run.iterations),
        coevolution=figures.coevolution_figure(run.coevolution),
        bar=bars(run.evaluation.suites) if run.evaluation else {},
    )


@router.get("/runs/{name}/report")
def show_report(here: Visiting, name: Name) -> HTMLResponse:
    """The run's report, made from what is in the store now."""
    html = render(here.console.runs.read(name))
    return HTMLResponse(html, headers={"Content-Security-Policy": REPORT_POLICY})


@router.get("/runs/{name}/tasks")
def choose_iteration(name: Name, iteration: int) -> Response:
    """Where the form that chooses an iteration leads."""
    return RedirectResponse(f"/runs/{name}/tasks/{iteration}", 303)


@router.get("/runs/{name}/tasks/{iteration}")
def show_tasks(
    here: Visiting, name: Name, iteration: int, number: Annotated[PageNumber, Query(alias="page")] = 1
) -> HTMLResponse:
    """The tasks of one iteration."""
    run = here.console.runs.read(name)
    found = runs.tasks(here.console.store, name, iteration, number)
    return page(here, "tasks", found=found, corpus=run.info.corpus)


@router.get("/datasets")
def show_datasets(here: Visiting) -> HTMLResponse:
    """Every dataset version."""
    return page(here, "datasets", datasets=datasets.summaries(here.console.store))


@router.get("/datasets/{name}/{digest}")
def show_dataset(here: Visiting, name: Name, digest: Digest) -> HTMLResponse:
    """One dataset version."""
    return page(here, "dataset", found=datasets.detail(here.console.store, name, digest))


@router.get("/datasets/{name}/{digest}/segments/{segment}")
def show_passage(here: Visiting, name: Name, digest: Digest, segment: Segment) -> HTMLResponse:
    """One passage."""
    return page(here, "passage", found=datasets.passage(here.console.store, name, digest, segment))


@router.get("/checkpoints")
def show_checkpoints(here: Visiting) -> HTMLResponse:
    """Every checkpoint."""
    seen = here.look()
    return page(here, "checkpoints", seen=seen, checkpoints=checkpoints.summaries(here.console.store, seen))


@router.get("/checkpoints/{digest}")
def show_checkpoint(here: Visiting, digest: Digest) -> HTMLResponse:
    """One checkpoint."""
    seen = here.look()
    found = checkpoints.detail(here.console.store, f"checkpoints/{digest}", seen)
    return page(here, "checkpoint", seen=seen, found=found, lineage=lineage.trace(here.console.store, digest, seen))


@router.get("/evaluations/{digest}")
def show_evaluation(
    here: Visiting,
    digest: Digest,
    suite: str | None = None,
    show: Shown = "changed",
    number: Annotated[PageNumber, Query(alias="page")] = 1,
) -> HTMLResponse:
    """Evidence: the figures, and the items of one suite side by side."""
    found, items = evaluations.both(here.console.store, digest, suite, show, number)
    return page(here, "evaluation", found=found, items=items, bar=bars(found.suites))


@router.get("/requests")
def show_requests(here: Visiting) -> HTMLResponse:
    """Every request."""
    seen = here.look()
    found = requests.summaries(seen, here.console.config.promotion, here.console.clock())
    return page(here, "requests", seen=seen, requests=found)


@router.get("/requests/{digest}")
def show_request(here: Visiting, digest: Digest) -> HTMLResponse:
    """One request, with what its approver needs to know."""
    seen, console = here.look(), here.console
    found = requests.detail(console.store, digest, seen, console.config.promotion, console.clock())
    choices = may.on_request(here.person, found, ledger.switch(seen))
    return page(here, "request", seen=seen, found=found, bar=bars(found.suites), choices=choices)


@router.get("/ledger")
def show_ledger(here: Visiting, before: Annotated[int | None, Query(ge=0)] = None) -> HTMLResponse:
    """The ledger as a timeline."""
    seen = here.look()
    return page(here, "ledger", seen=seen, found=ledger.page(seen, before))


@router.get("/switch")
def show_switch(here: Visiting) -> HTMLResponse:
    """The kill-switch, with the form that engages or releases it."""
    return page(here, "switch", lacks=may.lacks(here.person, "operator"))


@router.get("/switch/state")
def show_state(here: Visiting, known: str = "") -> Response:
    """The part of every page that shows the switch, asked for again and again; nothing if it is as `known`.

    Replacing it only when it changed keeps the keyboard's focus, and screen readers from saying it every time.
    """
    seen = here.look()
    return Response(status_code=204) if known == state_digest(seen) else page(here, "state", seen=seen)
