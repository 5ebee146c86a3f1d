"""What a pipeline leaves for people: pages for the Kubeflow UI, and a record of how each job ended."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from spice import reporting
from spice.errors import NotFoundError
from spice.evaluation.schema import EvaluationReport
from spice.promotion.gate import Decision
from spice.reporting import facts
from spice.store import ObjectStore

if TYPE_CHECKING:
    from spice.monitoring.report import DriftReport


def record(store: ObjectStore, run: str, job: str, ended: Mapping[str, str]) -> dict[str, Any]:
    """Write how the pipeline job `job` ended to `runs/<run>/jobs/<job>.json`, and close the run if it has begun.

    Args:
        store: where the run lies.
        run: its name.
        job: id of the pipeline job.
        ended: Kubeflow's `state`, such as SUCCEEDED, with whatever else it says.

    Returns:
        What was written.

    Raises:
        StoreError: the store cannot be written.
    """
    found = {"job": job, "run": run, **ended}
    store.put(f"runs/{run}/jobs/{job}.json", json.dumps(found, sort_keys=True).encode())
    note(store, run, status="finished" if ended["state"] == "SUCCEEDED" else "failed")
    return found


def note(store: ObjectStore, run: str, **fields: Any) -> str:
    """Enter `fields` into the run's `run.json` if there is one, and return the run's name."""
    if store.head(f"runs/{run}/run.json") is not None:
        from spice.training.record import update_run

        update_run(store, run, **fields)
    return run


def summary(store: ObjectStore, run: str) -> str:
    """The run in a few lines, as Markdown; if it left nothing, that."""
    try:
        text = reporting.summary(reporting.load(store, run))
    except NotFoundError:
        text = "Nothing of this run is in the store."
    return f"# {run}\n\n```\n{text}\n```\n"


def page(store: ObjectStore, run: str) -> str:
    """The run's report as HTML; also stored as `runs/<run>/report.html`."""
    found = reporting.load(store, run)
    reporting.build(store, found)
    return reporting.render(found)


def training_metrics(store: ObjectStore, run: str) -> dict[str, float]:
    """Figures of the last iteration: rates in [0, 1], what is undefined left out."""
    iterations = reporting.load(store, run).iterations
    if not iterations:
        return {}
    last = iterations[-1]
    found = {
        "iterations": float(last.iteration),
        "valid_rate": last.challenger.valid_rate,
        "challenger_reward": last.challenger.reward_mean,
        "pass_rate": last.reasoner.pass_rate,
        "warnings": float(sum(len(one.warnings) for one in iterations)),
    }
    return {name: value for name, value in found.items() if value is not None}


def evaluation_metrics(report: Mapping[str, Any]) -> dict[str, float]:
    """The rates in [0, 1] of every suite, by which the Kubeflow UI compares runs."""
    found: dict[str, float] = {}
    for name, suite in EvaluationReport.model_validate(report).suites.items():
        found |= {
            f"{name}_base": suite.base.rate,
            f"{name}_candidate": suite.candidate.rate,
            f"{name}_difference": suite.difference.value,
            f"{name}_difference_low": suite.difference.low,
        }
    return found


def evaluation_table(report: Mapping[str, Any]) -> str:
    """The suites of an evaluation report as a Markdown table, in percent and percentage points."""
    head = ["| suite | items | base | candidate | difference [95%] | verdict |", "|---|---|---|---|---|---|"]
    rows = [
        f"| {name} | {suite.n} | {facts.rate(suite.base)} | {facts.rate(suite.candidate)} "
        f"| {facts.difference(suite.difference)} | {facts.VERDICTS[suite.verdict]} |"
        for name, suite in EvaluationReport.model_validate(report).suites.items()
    ]
    return "\n".join([*head, *rows, ""])


def drift_table(report: DriftReport) -> str:
    """The tests of a drift report as a Markdown table; a run's change of level is in it too."""
    head = ["| of | statistic | value | threshold | p | |", "|---|---|---|---|---|---|"]
    rows = [
        f"| {one.feature} | {one.statistic} | {one.value:.4f} | {one.threshold:.4f} | {one.p_value:.3f} "
        f"| {'drift' if one.drifted else ''} |"
        for one in report.tests
    ]
    rows += [
        f"| pass rate | cusum {one.direction} | {one.value:.2f} | {one.threshold:.2f} | "
        f"| {f'changed at {one.since}' if one.detected else ''} |"
        for one in report.pass_rate
    ]
    return "\n".join([*head, *rows, ""])


def answered(decision: Decision) -> str:
    """The gate's answer and its reasons, as Markdown."""
    reasons = [f"- {reason}" for reason in decision.reasons]
    return "\n".join(
        [f"# The gate says {decision.outcome}", "", *reasons, "", f"Judged: `{decision.facts.evaluation}`", ""]
    )


def requested(request: str, decision: Decision, approvals: int) -> str:
    """What was requested and what comes next, as Markdown."""
    return "\n".join(
        [
            "# Release requested",
            "",
            f"Request: `{request}`",
            f"Candidate: `{decision.facts.candidate}`",
            "",
            f"Nothing is live yet. {approvals} approval(s) needed, none from whoever requested:",
            "",
            f"    spice approve {request} --as NAME",
            "",
            "Then run the pipeline `promote` with this request.",
            "",
        ]
    )
