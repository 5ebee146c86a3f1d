"""An evaluation report as a table for people."""

from __future__ import annotations

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from spice.evaluation.schema import ContaminationFigures, EvaluationReport, JudgeFigures, PassRate, SuiteFigures

_STYLES = {"better": "bold green", "not_worse": "green", "worse": "bold red", "inconclusive": "yellow"}


def render(report: EvaluationReport) -> RenderableType:
    """One row per suite, why each verdict was given, side effects, and whether any item stands in training text."""
    table = Table("suite", box=box.SIMPLE)
    for heading in ("n", "clusters", "base", "candidate", "difference", "p"):
        table.add_column(heading, justify="right")
    table.add_column("verdict")
    for name, suite in report.suites.items():
        table.add_row(Text(name), *_cells(suite), Text(_words(suite.verdict), style=_STYLES[suite.verdict]))
    reasons = [Text(f"{name}: {_words(suite.verdict)}, {suite.reason}") for name, suite in report.suites.items()]
    effects = [
        Text(
            f"{name}: {effect.base:.3f} before, {effect.candidate:.3f} after, change {effect.value:+.3f} "
            f"[{effect.low:+.3f}, {effect.high:+.3f}]; above 0 is worse ({effect.measure})"
        )
        for name, effect in report.side_effects.items()
    ]
    judge = [_judge(report.judge)] if report.judge else []
    caption = Text(
        "Brackets are 95% intervals; the difference's resamples whole clusters. p is two-sided and paired, and beside "
        "the primary suite adjusted for the number of suites.",
        style="dim",
    )
    return Group(table, *reasons, *effects, *judge, _contamination(report.contamination), caption)


def _cells(suite: SuiteFigures) -> list[str]:
    difference = suite.difference
    return [
        str(suite.n),
        str(suite.clusters),
        _rate(suite.base),
        _rate(suite.candidate),
        # A backslash, because rich takes square brackets for markup.
        f"{difference.value:+.3f} \\[{difference.low:+.3f}, {difference.high:+.3f}]",
        suite.shown_p,
    ]


def _rate(rate: PassRate) -> str:
    return f"{rate.rate:.3f} \\[{rate.low:.3f}, {rate.high:.3f}]"


def _words(verdict: str) -> str:
    return verdict.replace("_", " ")


def _judge(judge: JudgeFigures) -> Text:
    agreed = judge.agreement
    return Text(
        f"Of {judge.asked} answers that the rules call wrong, the judge {judge.model} called {judge.equivalent} "
        f"equivalent, and gave no usable answer to {judge.inconclusive}. It agrees with the rules on {agreed.rate:.3f} "
        f"[{agreed.low:.3f}, {agreed.high:.3f}] of {agreed.n} answers (kappa {agreed.kappa:.2f})."
    )


def _contamination(found: ContaminationFigures) -> Text:
    skipped = found.items - found.testable
    note = f" ({skipped} too short to look for)" if skipped else ""
    if not found.hits:
        return Text(f"None of {found.testable} items stands in training text{note}.")
    first = found.examples[0]
    return Text(
        f"{found.hits} of {found.testable} items stand in training text{note}, "
        f"such as {first.suite} {first.item} in {first.where}. The longest shared run has {found.longest} words.",
        style="bold red",
    )
