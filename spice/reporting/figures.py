"""Which curves a report shows, and what a reader should look for in each."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from spice.reporting.chart import WIDE, Point, Series, line_chart
from spice.reporting.records import Coevolution, Iteration, Rate

Reader = Callable[[Iteration], float | None]


@dataclass(frozen=True)
class Figure:
    """A chart with its legend; `svg` is empty if nothing was recorded."""

    title: str
    note: str
    series: Sequence[Series]
    svg: Markup


def curves(iterations: Sequence[Iteration]) -> list[Figure]:
    """The curves over training, per role."""
    return [
        _figure(
            iterations,
            "Reward",
            "What each role is paid. The Challenger earns most when half of the answers are right.",
            ("Challenger", "challenger", lambda row: row.challenger.reward_mean),
            ("Reasoner", "reasoner", lambda row: row.reasoner.reward_mean),
        ),
        _figure(
            iterations,
            "Pass rate on its own tasks",
            "Share of right answers to the tasks of the moment. Both roles move, so this is no measure of ability.",
            ("Reasoner", "reasoner", lambda row: row.reasoner.pass_rate),
            ("by the oracle", "neutral", lambda row: row.oracle.pass_rate),
            percent=True,
            reference=0.5,
        ),
        _figure(
            iterations,
            "Valid tasks and trustworthy answers",
            "Valid alone means little. Audit: the policy, shown the document, gives the gold answer too.",
            ("valid", "challenger", lambda row: row.challenger.valid_rate),
            ("gold audit agrees", "good", lambda row: row.audit.agree_share),
            ("gold answers true, by oracle", "neutral", lambda row: row.oracle.label_accuracy),
            percent=True,
        ),
        _figure(
            iterations,
            "Groups without signal",
            "Tasks that all answers got right or all got wrong teach the Reasoner little.",
            ("all or none right", "neutral", lambda row: row.tasks.zero_variance_share),
            ("none right", "faint", lambda row: row.tasks.all_wrong_share),
            percent=True,
        ),
        _figure(
            iterations,
            "Entropy",
            "Nats per token. A fall to 0 is collapse; a Challenger's rise while valid tasks fall is its death spiral.",
            ("Challenger", "challenger", lambda row: row.challenger.entropy),
            ("Reasoner", "reasoner", lambda row: row.reasoner.entropy),
        ),
        _figure(
            iterations,
            "Length",
            "Tokens per output, mean.",
            ("Challenger", "challenger", lambda row: row.challenger.tokens_mean),
            ("Reasoner", "reasoner", lambda row: row.reasoner.tokens_mean),
        ),
        _figure(
            iterations,
            "Gradient norm",
            "Before clipping.",
            ("both roles", "neutral", lambda row: row.learner.grad_norm),
            ("Challenger", "challenger", lambda row: row.learner.role_norms.get("challenger")),
            ("Reasoner", "reasoner", lambda row: row.learner.role_norms.get("reasoner")),
        ),
        _figure(
            iterations,
            "Engine against learner",
            "Effective sample size as a share of the tokens: 1 while engine and learner agree on their probabilities.",
            ("effective sample size", "neutral", lambda row: row.learner.importance_ess),
            percent=True,
        ),
        _figure(
            iterations,
            "Tokens per second",
            "What the engines generate, and what the learner computes with shared prefixes counted once.",
            ("generated", "reasoner", lambda row: row.speed.generated_tokens_per_second),
            ("learned", "neutral", lambda row: row.speed.trained_tokens_per_second),
        ),
        _figure(
            iterations,
            "Machines",
            "Engines stand idle while the learner works. FLOPs utilisation is known where the device's peak is known.",
            ("engine idle", "faint", lambda row: row.speed.engine_idle_share),
            ("padding", "challenger", lambda row: row.speed.padding_share),
            ("FLOPs utilisation", "neutral", lambda row: row.speed.mfu),
            percent=True,
        ),
        _figure(
            iterations,
            "Seconds per iteration",
            "Where the time goes.",
            ("total", "neutral", lambda row: row.seconds.get("total")),
            ("challenge", "challenger", lambda row: row.seconds.get("challenge")),
            ("answer", "reasoner", lambda row: row.seconds.get("answer")),
            ("update", "faint", lambda row: row.seconds.get("update")),
        ),
    ]


def coevolution_figure(record: Coevolution | None) -> Figure:
    """Each role against the other's beginning: do tasks get harder, and do answers get better?"""
    rows = record.rows if record else []
    first_row, first_column = rows[0] if rows else [], [row[0] for row in rows]
    answers = [(cell.reasoner, cell.passed, cell.true) for cell in first_row]
    tasks = [(cell.challenger, cell.passed, cell.true) for cell in first_column]
    series = [
        Series("later Reasoners on the first Challenger's tasks", "reasoner", _points((x, y) for x, y, _ in answers)),
        Series("the first Reasoner on later Challengers' tasks", "challenger", _points((x, y) for x, y, _ in tasks)),
        Series("the first, by the oracle", "faint", _points((x, y) for x, _, y in answers)),
        Series("the second, by the oracle", "neutral", _points((x, y) for x, _, y in tasks)),
    ]
    title = "Co-evolution"
    svg = line_chart(title, series, percent=True, x_label="iteration of the checkpoint", size=WIDE)
    return Figure(
        title,
        "Rising blue: the Reasoner learns. Falling orange: the Challenger's tasks get harder for the model as it was. "
        "Bands are 95% intervals over documents. Right means equal to the Challenger's own gold answer.",
        series,
        svg,
    )


def _figure(
    iterations: Sequence[Iteration],
    title: str,
    note: str,
    *lines: tuple[str, str, Reader],
    percent: bool = False,
    reference: float | None = None,
) -> Figure:
    series = [Series(name, style, _read(iterations, read)) for name, style, read in lines]
    return Figure(title, note, series, line_chart(title, series, percent=percent, reference=reference))


def _read(iterations: Sequence[Iteration], read: Reader) -> list[Point]:
    values = [(row.iteration, read(row)) for row in iterations]
    return [Point(x, y) for x, y in values if y is not None and math.isfinite(y)]


def _points(rates: Iterable[tuple[int, Rate | None]]) -> list[Point]:
    return [Point(x, rate.value, rate.low, rate.high) for x, rate in rates if rate is not None]
