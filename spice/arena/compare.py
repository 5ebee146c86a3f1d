"""The table: every recipe against every other, on the same seeds, the same test and the same budget."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from statistics import fmean

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from spice.arena.analysis import METHOD, Estimate, accuracy, at_budget, collapse, difference, holm
from spice.arena.results import ArmResult, Part, Reading
from spice.reporting.records import CoevolutionChange

REFERENCE = "spice"


class Figure(Part):
    """A mean over seeds and items with its 95% interval."""

    value: float
    low: float
    high: float


class CurvePoint(Part):
    """The test at one checkpoint, over all seeds; tokens and seconds are means."""

    iteration: int
    tokens: float
    seconds: float
    accuracy: Figure


class Row(Part):
    """One recipe."""

    recipe: str
    start: Figure
    end: Figure = Field(description="after all updates")
    gain: Figure = Field(description="end minus start, paired by seed and item")
    at_equal_tokens: Figure = Field(description="the last checkpoint within the fewest tokens that any recipe took")
    at_equal_seconds: Figure = Field(description="the last checkpoint within the fewest seconds that any recipe took")
    by_seed: tuple[float, ...]
    learning_rate: float
    updates: int
    tokens: float = Field(description="generated, mean over seeds")
    seconds: float = Field(description="of self-play, mean over seeds")
    labels: tuple[float | None, ...] = Field(description="share of true gold answers by iteration, by the oracle")
    labels_first: float | None = Field(description="its mean in the first tenth of the iterations")
    labels_last: float | None = Field(description="its mean in the last tenth")
    coevolution: dict[str, tuple[CoevolutionChange, ...]] = Field(
        description="last against first of both co-evolution curves, with intervals over documents, by seed"
    )
    alarms: dict[str, float] = Field(description="share of the iterations, over all seeds, that raised each alarm")
    collapsed: dict[str, int] = Field(description="iteration from which a seed was worse than at its start, by seed")
    curve: tuple[CurvePoint, ...]


class Pair(Part):
    """One recipe minus another at the end, paired by seed and item."""

    ours: str
    theirs: str
    value: float
    low: float
    high: float
    p: float
    p_holm: float = Field(description="adjusted for all pairs of the table")
    at_equal_tokens: Figure
    at_equal_seconds: Figure


class Comparison(Part):
    """The whole table."""

    world: str
    seeds: tuple[int, ...]
    warm_starts: tuple[str, ...]
    items: int
    updates: int
    token_budget: float
    second_budget: float
    tuning: dict[str, dict[str, float]] = Field(
        {}, description="accuracy on the tuning questions by recipe and learning rate, where rates were searched"
    )
    method: str = METHOD
    rows: tuple[Row, ...]
    pairs: tuple[Pair, ...]


def tabulate(arms: Sequence[ArmResult]) -> Comparison:
    """Put finished arms into a table.

    Args:
        arms: of one world; every recipe with the same seeds.

    Raises:
        ValueError: the arms are not of one world, or not every recipe has every seed once.
    """
    by_recipe: dict[str, list[ArmResult]] = {}
    for arm in sorted(arms, key=lambda arm: arm.seed):
        by_recipe.setdefault(arm.recipe, []).append(arm)
    seeds = {tuple(arm.seed for arm in group) for group in by_recipe.values()}
    if len(seeds) != 1 or len({arm.world for arm in arms}) != 1:
        raise ValueError("a table needs arms of one world, and every recipe with the same seeds")
    token_budget = min(float(arm.readings[-1].tokens) for arm in arms)
    second_budget = min(arm.readings[-1].seconds for arm in arms)
    views = {
        "end": {recipe: _table([arm.readings[-1] for arm in group]) for recipe, group in by_recipe.items()},
        "tokens": {recipe: _at(group, "tokens", token_budget) for recipe, group in by_recipe.items()},
        "seconds": {recipe: _at(group, "seconds", second_budget) for recipe, group in by_recipe.items()},
    }
    order = sorted(by_recipe, key=lambda recipe: (recipe != REFERENCE, -views["end"][recipe].mean()))
    return Comparison(
        world=arms[0].world,
        seeds=seeds.pop(),
        warm_starts=tuple(dict.fromkeys(arm.warm_start for arm in by_recipe[order[0]])),
        items=len(arms[0].readings[0].answers),
        updates=arms[0].updates,
        token_budget=token_budget,
        second_budget=second_budget,
        rows=tuple(_row(recipe, by_recipe[recipe], views) for recipe in order),
        pairs=tuple(_pairs(order, views)),
    )


Views = Mapping[str, Mapping[str, NDArray[np.bool_]]]


def _row(recipe: str, group: Sequence[ArmResult], views: Views) -> Row:
    start, end = _table([arm.readings[0] for arm in group]), views["end"][recipe]
    labels = [
        _mean(shares) for shares in zip(*([one.label_accuracy for one in arm.labels] for arm in group), strict=True)
    ]
    tenth = max(1, len(labels) // 10)
    collapsed = {str(arm.seed): index for arm in group if (index := _collapsed(arm)) is not None}
    return Row(
        recipe=recipe,
        start=_figure(accuracy(start)),
        end=_figure(accuracy(end)),
        gain=_figure(difference(end, start)),
        at_equal_tokens=_figure(accuracy(views["tokens"][recipe])),
        at_equal_seconds=_figure(accuracy(views["seconds"][recipe])),
        by_seed=tuple(float(share) for share in end.mean(axis=1)),
        learning_rate=group[0].learning_rate,
        updates=group[0].updates,
        tokens=fmean(arm.readings[-1].tokens for arm in group),
        seconds=fmean(arm.readings[-1].seconds for arm in group),
        labels=tuple(labels),
        labels_first=_mean(labels[:tenth]),
        labels_last=_mean(labels[-tenth:]),
        coevolution={str(arm.seed): arm.coevolution for arm in group if arm.coevolution},
        alarms=_alarms(group),
        collapsed=collapsed,
        curve=tuple(_curve(group)),
    )


def _alarms(group: Sequence[ArmResult]) -> dict[str, float]:
    raised = Counter[str]()
    for arm in group:
        raised.update(arm.alarms)
    iterations = sum(len(arm.labels) for arm in group)
    return {alarm: count / iterations for alarm, count in raised.most_common()}


def _pairs(order: Sequence[str], views: Views) -> list[Pair]:
    pairs = list(combinations(order, 2))
    ends = [difference(views["end"][ours], views["end"][theirs]) for ours, theirs in pairs]
    adjusted = holm([found.p for found in ends])
    return [
        Pair(
            ours=ours,
            theirs=theirs,
            **_figure(found).model_dump(),
            p=found.p,
            p_holm=p_holm,
            at_equal_tokens=_figure(difference(views["tokens"][ours], views["tokens"][theirs])),
            at_equal_seconds=_figure(difference(views["seconds"][ours], views["seconds"][theirs])),
        )
        for (ours, theirs), found, p_holm in zip(pairs, ends, adjusted, strict=True)
    ]


def _curve(group: Sequence[ArmResult]) -> list[CurvePoint]:
    return [
        CurvePoint(
            iteration=readings[0].iteration,
            tokens=fmean(reading.tokens for reading in readings),
            seconds=fmean(reading.seconds for reading in readings),
            accuracy=_figure(accuracy(_table(readings))),
        )
        for readings in zip(*(arm.readings for arm in group), strict=True)
    ]


def _collapsed(arm: ArmResult) -> int | None:
    index = collapse([reading.correct for reading in arm.readings])
    return None if index is None else arm.readings[index].iteration


def _at(group: Sequence[ArmResult], budget: str, limit: float) -> NDArray[np.bool_]:
    """Each seed's last reading within a budget, shape [seeds, items]."""
    return _table(
        [arm.readings[at_budget([getattr(reading, budget) for reading in arm.readings], limit)] for arm in group]
    )


def _table(readings: Sequence[Reading]) -> NDArray[np.bool_]:
    return np.stack([reading.correct for reading in readings])


def _figure(found: Estimate) -> Figure:
    return Figure(value=found.value, low=found.low, high=found.high)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None
