"""A run as a few lines of plain text, for the terminal."""

from __future__ import annotations

from spice.reporting import facts
from spice.reporting.records import Run

COLUMNS = ("suite", "n", "base", "candidate", "difference [95%]", "p", "verdict")


def summary(run: Run) -> str:
    """The result, the evaluation table, the gate's answer with its reasons, and what could not be read."""
    lines = [f"Run {run.name}: {run.info.status}. {facts.result(run)}"]
    if run.evaluation is not None and run.evaluation.suites:
        rows = [
            (
                name,
                str(suite.n),
                facts.rate(suite.base),
                facts.rate(suite.candidate),
                facts.difference(suite.difference),
                suite.shown_p,
                facts.VERDICTS[suite.verdict],
            )
            for name, suite in run.evaluation.suites.items()
        ]
        lines += ["", *_aligned([COLUMNS, *rows])]
    lines += ["", f"{facts.gate(run)}."]
    lines += [f"  - {reason}" for reason in (run.decision.reasons if run.decision else ())]
    lines += [f"Missing: {problem}" for problem in run.problems]
    return "\n".join(lines)


def _aligned(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    return [
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
