"""Evaluations of several recipes side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spice.errors import ConfigError
from spice.evaluation.schema import EvaluationReport, SuiteFigures
from spice.reporting import facts
from spice.store import ObjectStore, artifacts


@dataclass(frozen=True)
class Line:
    """One recipe on one suite."""

    recipe: str
    run: str
    evaluation: str
    suite: str
    figures: SuiteFigures


def compare(store: ObjectStore, evaluations: Sequence[str], primary: str) -> list[Line]:
    """A line per evaluation and suite: the `primary` suite first, and in each suite the largest difference first.

    Raises:
        ConfigError: nothing was evaluated on the primary suite.
        NotFoundError: a report or its checkpoint is not in the store.
        IntegrityError: one of them was changed.
    """
    lines: list[Line] = []
    for ref in evaluations:
        report = EvaluationReport.model_validate(artifacts.read_json(store, ref))
        recipe = str(artifacts.manifest(store, report.candidate).get("recipe", "unknown"))
        lines += [Line(recipe, report.run, ref, name, figures) for name, figures in report.suites.items()]
    lines.sort(key=lambda line: (line.suite != primary, line.suite, -line.figures.difference.value, line.recipe))
    if not lines or lines[0].suite != primary:
        raise ConfigError(
            f"None of {len(evaluations)} evaluations has the suite {primary}; set promotion.primary_suite."
        )
    return lines


def table(lines: Sequence[Line]) -> str:
    """The lines as a Markdown table, in percent and percentage points."""
    head = ["| suite | recipe | items | base | after | difference [95%] | run |", "|---|---|---|---|---|---|---|"]
    rows = [
        f"| {line.suite} | {line.recipe} | {line.figures.n} | {facts.rate(line.figures.base)} "
        f"| {facts.rate(line.figures.candidate)} | {facts.difference(line.figures.difference)} | {line.run} |"
        for line in lines
    ]
    return "\n".join([*head, *rows, ""])
