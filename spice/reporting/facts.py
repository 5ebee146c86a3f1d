"""What a run amounts to, in sentences and figures that the page and the terminal share."""

from __future__ import annotations

import math
from dataclasses import dataclass

from spice.evaluation.schema import DifferenceFigures, PassRate, SuiteFigures
from spice.reporting.records import Run
from spice.text.wording import wording

VERDICTS = {"better": "better", "not_worse": "not worse", "worse": "worse", "inconclusive": "inconclusive"}
OUTCOMES = {"pass": "The gate says pass", "fail": "The gate says no", "inconclusive": "The gate cannot tell, so: no"}


def percent(share: float) -> str:
    """`29.6%`."""
    return f"{share:.1%}"


def rate(value: PassRate) -> str:
    """`29.6% [24.2, 35.6]`."""
    return f"{percent(value.rate)} [{100 * value.low:.1f}, {100 * value.high:.1f}]"


def difference(value: DifferenceFigures) -> str:
    """`+13.8 [+7.5, +20.0]`, in percentage points."""
    return f"{100 * value.value:+.1f} [{100 * value.low:+.1f}, {100 * value.high:+.1f}]"


def primary_suite(run: Run) -> tuple[str, SuiteFigures] | None:
    """The suite on which improvement is required."""
    if run.evaluation is None or not run.evaluation.suites:
        return None
    suites = run.evaluation.suites
    promotion = (run.config or {}).get("promotion", {})
    name = promotion.get("primary_suite", "cloze")
    return (name, suites[name]) if name in suites else next(iter(suites.items()))


def result(run: Run) -> str:
    """The run in one sentence."""
    found = primary_suite(run)
    if found is None:
        done = len(run.iterations)
        return f"{done} iterations were trained; there is no evaluation yet." if done else "Nothing was trained yet."
    name, suite = found
    change = suite.difference
    return (
        f"On {suite.n} held-out items ({name}), accuracy went from {percent(suite.base.rate)} to "
        f"{percent(suite.candidate.rate)}, a difference of {100 * change.value:+.1f} points "
        f"(95% interval {100 * change.low:+.1f} to {100 * change.high:+.1f}): {VERDICTS[suite.verdict]}."
    )


def gate(run: Run) -> str:
    """The gate's answer in a few words."""
    if run.decision is None:
        return "The gate was not asked"
    return OUTCOMES.get(run.decision.outcome, f"The gate says {run.decision.outcome}")


def documents(run: Run) -> str:
    """How many documents were trained on and held out, as far as the dataset version says."""
    counts = run.corpus.counts if run.corpus else {}
    if "documents_train" not in counts:
        return "not recorded"
    return f"{counts['documents_train']:,} trained on, {counts.get('documents_held_out', 0):,} held out"


def minutes(run: Run) -> float | None:
    """Training time in minutes, all iterations together; `None` if none was recorded."""
    seconds = [row.seconds["total"] for row in run.iterations if row.seconds.get("total") is not None]
    return sum(value for value in seconds if value is not None) / 60 if seconds else None


def limits(run: Run) -> list[str]:
    """What such a run does not show, whatever its figures."""
    audits = [row.audit for row in run.iterations if row.audit.n and row.audit.agree_share is not None]
    n = sum(audit.n for audit in audits)
    agreeing = sum(round(audit.n * (audit.agree_share or 0.0)) for audit in audits)
    audit = f" The audit agreed with {agreeing} of {n} gold answers ({percent(agreeing / n)})." if n else ""
    grading = "Training tasks are graded by the Challenger's own gold answer, which can be wrong." + audit
    if run.evaluation is None:
        return ["Without an evaluation it shows nothing about ability: rewards and curves of training do not.", grading]
    return [
        "It compares the model before and after on the same questions, with the same prompt. Held-out documents are "
        "from the same collection: a gain says that the model answers this kind of question on this kind of document "
        "better, not that it knows or reasons more in general. The other suites say how far it carries.",
        "It is one run with one seed. The intervals cover the choice of questions, not of the seed; "
        "repeat the run with other seeds before relying on the size of the gain.",
        "No control arm was run beside it, so it does not show that self-play is the cause: "
        "part of a gain can come from learning the form of the answer.",
        grading,
    ]


def warnings(run: Run) -> list[tuple[str, list[int]]]:
    """Each warning as it was last worded, with the iterations that raised it, most frequent first.

    Sentences that differ only in their figures are one warning.
    """
    raised: dict[str, tuple[str, list[int]]] = {}
    for row in run.iterations:
        for warning in row.warnings:
            kind = wording(warning)
            raised[kind] = (warning, [*raised.get(kind, ("", []))[1], row.iteration])
    return sorted(raised.values(), key=lambda found: -len(found[1]))


@dataclass(frozen=True)
class Signal:
    """How one figure that shows trouble moved over the run."""

    name: str
    first: float
    last: float
    low: float
    high: float


def signals(run: Run) -> list[Signal]:
    """Every health signal, and the figures of the update and of truncation that have no chart of their own."""
    values: dict[str, list[float]] = {}
    for row in run.iterations:
        figures = {
            **row.health,
            "challenger_truncated": row.challenger.truncated,
            "reasoner_truncated": row.reasoner.truncated,
            "logprob_gap_mean": row.learner.logprob_gap_mean,
            "logprob_gap_max": row.learner.logprob_gap_max,
        }
        for name, value in figures.items():
            if value is not None and math.isfinite(value):
                values.setdefault(name, []).append(value)
    return [Signal(name, found[0], found[-1], min(found), max(found)) for name, found in sorted(values.items())]
