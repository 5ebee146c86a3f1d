"""What a pipeline leaves for people: summaries for the Kubeflow UI, and a record of how each job ended."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from spice import reporting
from spice.errors import NotFoundError, SpiceError
from spice.evaluation.schema import EvaluationReport
from spice.promotion.gate import Decision
from spice.store import ObjectStore

_SUCCEEDED = "SUCCEEDED"


def record(store: ObjectStore, run: str, job: str, status: Mapping[str, Any]) -> dict[str, Any]:
    """Write how the pipeline job `job` ended to `runs/<run>/jobs/<job>.json`, and close the run if it is open.

    Args:
        store: where the run lies.
        run: its name; it need not have begun.
        job: id of the pipeline job.
        status: the fields `state`, `error_code` and `error_message` of what Kubeflow reports.

    Returns:
        What was written.

    Raises:
        StoreError: the store cannot be written.
    """
    found = {"job": job, "run": run, **status}
    store.put(f"runs/{run}/jobs/{job}.json", json.dumps(found, sort_keys=True).encode())
    if store.head(f"runs/{run}/run.json") is not None:
        from spice.training.loop import update_run

        update_run(store, run, status="finished" if status["state"] == _SUCCEEDED else "failed")
    return found


def summary(store: ObjectStore, run: str) -> str:
    """The run as Markdown; if nothing of it can be read, that."""
    try:
        text = reporting.summary(reporting.load(store, run))
    except NotFoundError:
        text = f"Run {run} left nothing: the job ended before training began."
    return f"# {run}\n\n```\n{text}\n```\n"


def page(store: ObjectStore, run: str) -> str:
    """The run's report as HTML, also stored as `runs/<run>/report.html`."""
    found = reporting.load(store, run)
    reporting.build(store, found)
    return reporting.render(found)


def evaluation_table(report: Mapping[str, Any]) -> str:
    """The suites of an evaluation report as a Markdown table, in percent and percentage points."""
    suites = EvaluationReport.model_validate(report).suites
    rows = [
        f"| {name} | {suite.n} | {suite.base.rate:.1%} | {suite.candidate.rate:.1%} "
        f"| {100 * suite.difference.value:+.1f} [{100 * suite.difference.low:+.1f}, {100 * suite.difference.high:+.1f}]"
        f" | {suite.verdict.replace('_', ' ')} |"
        for name, suite in suites.items()
    ]
    return "\n".join(
        ["| suite | items | base | candidate | difference [95%] | verdict |", "|---|---|---|---|---|---|", *rows, ""]
    )


def evaluation_metrics(report: Mapping[str, Any]) -> dict[str, float]:
    """The figures that the Kubeflow UI compares between runs: rates in [0, 1] per suite."""
    suites = EvaluationReport.model_validate(report).suites
    found: dict[str, float] = {}
    for name, suite in suites.items():
        found |= {
            f"{name}_base": suite.base.rate,
            f"{name}_candidate": suite.candidate.rate,
            f"{name}_difference": suite.difference.value,
            f"{name}_difference_low": suite.difference.low,
        }
    return found


def decision(found: Decision) -> str:
    """The gate's answer and its reasons as Markdown."""
    reasons = [f"- {reason}" for reason in found.reasons]
    return "\n".join([f"# The gate says {found.outcome}", "", *reasons, "", f"Evidence: `{found.facts.evaluation}`", ""])


def failure(error: SpiceError) -> str:
    """A refusal as Markdown."""
    return f"# {type(error).__name__.removesuffix('Error')}\n\n{error}\n"
