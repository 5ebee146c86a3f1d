"""Compares what is with what was: corpus versions, posed tasks, serving traffic, and a run's pass rate."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spice.config import DriftConfig
from spice.errors import ConfigError
from spice.monitoring import changepoint, samples, twosample
from spice.monitoring.iterations import pass_rates, read_config, run_corpus
from spice.monitoring.report import DriftReport, Feature, PassRateRecord, Side, Statistic, TestRecord
from spice.monitoring.samples import Kind, Sample
from spice.store.base import ObjectStore

# Which sources can be compared, and what the comparison is about. Documents and questions differ by nature.
_SUBJECTS: dict[tuple[Kind, Kind], Kind] = {
    ("corpus", "corpus"): "corpus",
    ("tasks", "tasks"): "tasks",
    ("tasks", "traffic"): "traffic",
    ("traffic", "traffic"): "traffic",
}
_TESTS = 3


def check(store: ObjectStore, reference: str, current: str, config: DriftConfig) -> DriftReport:
    """Compare two sources.

    Args:
        store: where both lie.
        reference: `datasets/<name>[@<tag>]` or any form that `spice.store.artifacts.resolve` knows, `runs/<run>`, or
            `traffic/` with or without more of a prefix.
        current: likewise. A run compared with itself: its first iterations with its last, and its pass rate too.
        config: rates, sizes and the seed. The report is the same for the same sources and settings.

    Raises:
        ConfigError: the two cannot be compared, or too few permutations are set for the false-alarm rate.
        NotFoundError: a source is not there or is empty.
        IntegrityError: a source is damaged.
    """
    subject = _subject(reference, current)
    rate = config.false_alarm_rate / _TESTS
    if int(rate * (config.permutations + 1)) < 1:
        raise ConfigError(
            f"drift.permutations is {config.permutations}: {_TESTS} tests at a false-alarm rate of "
            f"{config.false_alarm_rate} together need at least {round(_TESTS / config.false_alarm_rate)}."
        )
    rng = np.random.default_rng(config.seed)
    before, after = _read(store, reference, current, config, rng)
    tests = _compare(before, after, rate, config.permutations, rng)
    corpus = ""
    changes: tuple[PassRateRecord, ...] = ()
    if subject == "corpus":
        corpus = after.ref.split("/")[1]
    elif current.startswith("runs/"):
        run = current.removeprefix("runs/")
        corpus = run_corpus(store, run)
        if reference == current:
            changes = pass_rate(pass_rates(store, run), read_config(store, run).training.iterations, config)
    return DriftReport(
        subject=subject,
        corpus=corpus,
        reference=_side(before),
        current=_side(after),
        shared=len(set(before.ids) & set(after.ids)),
        tests=tests,
        pass_rate=changes,
        drifted=any(test.drifted for test in tests) or any(change.detected for change in changes),
        settings=config,
    )


def pass_rate(series: Sequence[tuple[int, float]], iterations: int, config: DriftConfig) -> tuple[PassRateRecord, ...]:
    """Whether the pass rate changed its level.

    Args:
        series: (iteration, pass rate), oldest first.
        iterations: of the whole run; the false-alarm rate holds for all of them together.
        config: that rate.
    """
    horizon = max(iterations, len(series))
    threshold = changepoint.threshold_for(horizon, config.false_alarm_rate, config.change_size, config.seed)
    return tuple(
        PassRateRecord(
            direction=side.direction,
            value=side.statistic,
            threshold=side.threshold,
            detected=side.detected,
            since=None if side.since is None else series[side.since][0],
        )
        for side in changepoint.detect([value for _, value in series], threshold, config.change_size)
    )


def _subject(reference: str, current: str) -> Kind:
    kinds = []
    for name in (reference, current):
        kind = samples.kind_of(name)
        if kind is None:
            raise ConfigError(f"{name!r} is nothing that drifts: expected datasets/..., runs/... or traffic/...")
        kinds.append(kind)
    subject = _SUBJECTS.get((kinds[0], kinds[1]))
    if subject is None:
        pairs = "; ".join(f"{a} with {b}" for a, b in _SUBJECTS)
        raise ConfigError(f"{reference} cannot be compared with {current}. What can be compared: {pairs}.")
    return subject


def _read(
    store: ObjectStore, reference: str, current: str, config: DriftConfig, rng: np.random.Generator
) -> tuple[Sample, Sample]:
    within = reference == current
    return (
        _sample(store, reference, "first" if within else "last", config, rng),
        _sample(store, current, "last", config, rng),
    )


def _sample(store: ObjectStore, ref: str, end: str, config: DriftConfig, rng: np.random.Generator) -> Sample:
    match samples.kind_of(ref):
        case "corpus":
            return samples.documents(store, ref, config.max_units, rng)
        case "tasks":
            run = ref.removeprefix("runs/")
            return samples.tasks(
                store, run, config.window, "first" if end == "first" else "last", config.max_units, rng
            )
        case _:
            return samples.traffic(store, ref, config.max_units, rng)


def _compare(
    before: Sample, after: Sample, rate: float, permutations: int, rng: np.random.Generator
) -> tuple[TestRecord, ...]:
    lengths_N = np.concatenate([before.lengths_N, after.lengths_N])
    trigrams_NH = np.concatenate([before.trigrams_NH, after.trigrams_NH])
    # Square roots of shares: Euclidean distance between units is then Hellinger's, whatever their lengths.
    shares_NH = np.sqrt(trigrams_NH / np.maximum(trigrams_NH.sum(axis=1, keepdims=True), 1.0))
    asked: tuple[tuple[Feature, Statistic, twosample.Statistic], ...] = (
        ("length", "ks", twosample.ks(lengths_N)),
        ("trigrams", "jensen_shannon", twosample.jensen_shannon(trigrams_NH)),
        ("trigrams", "mmd", twosample.mmd(shares_NH)),
    )
    records = []
    for feature, name, statistic in asked:
        found = twosample.compare(statistic, len(before.ids), len(lengths_N), permutations, rate, rng)
        records.append(
            TestRecord(
                feature=feature,
                statistic=name,
                value=found.statistic,
                threshold=found.threshold,
                p_value=found.p_value,
                drifted=found.drifted,
            )
        )
    return tuple(records)


def _side(sample: Sample) -> Side:
    return Side(
        ref=sample.ref,
        part=sample.part,
        available=sample.available,
        drawn=len(sample.ids),
        median_length=float(np.median(sample.lengths_N)),
    )
