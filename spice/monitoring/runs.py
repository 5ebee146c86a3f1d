"""The runs of a store as metrics, read incrementally: of each arm the run that was started last."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from statistics import fmean

from spice.config import DriftConfig, MonitoringConfig
from spice.errors import IntegrityError, NotFoundError
from spice.monitoring import drift, figures, iterations
from spice.monitoring.damage import Damage
from spice.monitoring.figures import ARM
from spice.monitoring.iterations import Arm, Figures, RunConfig, RunInfo
from spice.monitoring.metrics import Family, Sample
from spice.monitoring.report import PassRateRecord
from spice.store.base import ObjectStore

PHASES = ("challenge", "answer", "audit", "update")
FAMILIES = (
    Family("spice_run_training", "Whether the run's record says that it is being trained.", ARM),
    Family("spice_iterations_total", "Iterations of the run that were recorded.", ARM, "counter"),
    Family("spice_iteration_timestamp_seconds", "When the last iteration was recorded.", ARM),
    Family("spice_iteration_duration_seconds", "How long the last iteration took.", ARM),
    Family("spice_recent_iteration_duration_seconds", "The same, mean over the most recent iterations.", ARM),
    Family("spice_iteration_phase_seconds", "How long a phase of the last iteration took.", (*ARM, "phase")),
    Family("spice_phase_seconds_total", "Time spent in a phase, all iterations.", (*ARM, "phase"), "counter"),
    Family("spice_generated_tokens_total", "Tokens that a role generated.", (*ARM, "role"), "counter"),
    Family("spice_learned_tokens_total", "Tokens that updates were computed on.", ARM, "counter"),
    Family("spice_tokens_per_second", "Tokens per second of a phase's time in the last iteration.", (*ARM, "phase")),
    Family("spice_pass_change_detected", "Whether the run's pass rate changed its level.", (*ARM, "direction")),
    Family("spice_pass_change_statistic", "Largest CUSUM of the pass rate's sequential ranks.", (*ARM, "direction")),
    Family("spice_pass_change_threshold", "What that CUSUM must exceed to count as a change.", (*ARM, "direction")),
    *figures.families(),
)

_KEY = re.compile(r"runs/([^/]+)/(?:(config|run)\.json|iterations/(\d{6,})\.json)")


@dataclass
class _Listed:
    """What a listing says of one run. Times are seconds since the epoch."""

    started: float = 0.0
    active: float = 0.0
    iterations: int = 0


@dataclass
class _Run:
    """A run that is followed."""

    name: str
    arm: Arm
    config: RunConfig
    listed: _Listed
    info: RunInfo
    figures: dict[int, Figures] = field(default_factory=dict)
    read: int = 0
    change: tuple[PassRateRecord, ...] = ()

    @property
    def history(self) -> list[Figures]:
        """Figures of the iterations that could be read, oldest first."""
        return [self.figures[number] for number in sorted(self.figures)]


class Runs:
    """Follows the newest run of each arm for as long as it is fresh."""

    def __init__(self, store: ObjectStore, monitoring: MonitoringConfig, drift: DriftConfig, damage: Damage) -> None:
        self._store, self._monitoring, self._drift, self._damage = store, monitoring, drift, damage
        self._configs: dict[str, RunConfig] = {}
        self._followed: dict[str, _Run] = {}
        self._none = True

    def discover(self, now: float) -> None:
        """List all runs and choose which to follow. Raises `StoreError`."""
        listed = self._list()
        self._none = not listed
        fresh = {n: one for n, one in listed.items() if now - one.active <= 3600 * self._monitoring.run_hours}
        newest: dict[Arm, _Run] = {}
        for name in sorted(fresh, key=lambda name: (fresh[name].started, name)):
            run = self._open(name, fresh[name])
            newest[run.arm] = run
        self._followed = {run.name: run for run in newest.values()}
        for run in self._followed.values():
            self._retry(run)

    @property
    def empty(self) -> bool:
        """Whether no run was ever made, however old."""
        return self._none

    def refresh(self) -> None:
        """Read what the followed runs have recorded since. Raises `StoreError`."""
        for run in self._followed.values():
            run.info = self._info(run.name) or run.info
            if self._read_new(run):
                run.change = drift.pass_rate(_pass_rates(run), run.config.training.iterations, self._drift)

    def samples(self) -> Iterator[Sample]:
        """The metrics of all followed runs."""
        for run in self._followed.values():
            labels = run.arm.labels()
            yield Sample("spice_run_training", run.info.status == "training", labels)
            yield Sample("spice_iterations_total", run.read, labels)
            if run.history:
                yield Sample("spice_iteration_timestamp_seconds", run.listed.active, labels)
                yield from _throughput(run, self._monitoring.window)
                yield from figures.samples(run.history, self._monitoring.window, labels)
            for side in run.change:
                which = {**labels, "direction": side.direction}
                yield Sample("spice_pass_change_detected", side.detected, which)
                yield Sample("spice_pass_change_statistic", side.value, which)
                yield Sample("spice_pass_change_threshold", side.threshold, which)

    def _list(self) -> dict[str, _Listed]:
        found: dict[str, _Listed] = {}
        for info in self._store.list("runs/"):
            match = _KEY.fullmatch(info.key)
            if match is None:
                continue
            run = found.setdefault(match[1], _Listed())
            if match[2] == "config":
                run.started = info.modified
            if match[3]:
                run.iterations = max(run.iterations, int(match[3]))
            if match[2] != "run":  # a late change of the record, by an evaluation say, is no training
                run.active = max(run.active, info.modified)
        return found

    def _open(self, name: str, listed: _Listed) -> _Run:
        if name in self._followed:
            run = self._followed[name]
            run.listed = listed
            return run
        info = self._info(name) or RunInfo()
        if name not in self._configs:
            key = f"runs/{name}/config.json"
            found = self._damage.guard("run", key, partial(iterations.read_config, self._store, name))
            if found is not None:
                self._configs[name] = found
        config = self._configs.get(name, RunConfig())
        arm = Arm(iterations.corpus_name(info), config.recipe.name, str(config.seed))
        return _Run(name, arm, config, listed, info)

    def _info(self, name: str) -> RunInfo | None:
        return self._damage.guard("run", f"runs/{name}/run.json", partial(iterations.read_info, self._store, name))

    def _read_new(self, run: _Run) -> bool:
        """Read the iterations after the last one read; returns whether there were any."""
        before = run.read
        while self._read(run, run.read + 1):
            run.read += 1
        if run.read > before:
            info = self._store.head(iterations.iteration_key(run.name, run.read))
            run.listed.active = max(run.listed.active, info.modified if info else 0.0)
        return run.read > before

    def _retry(self, run: _Run) -> None:
        """Read again what was damaged: it may have been restored."""
        for number in range(1, run.read + 1):
            if number not in run.figures:
                self._read(run, number)

    def _read(self, run: _Run, number: int) -> bool:
        """Read one iteration; returns whether it is there, damaged or not."""
        key = iterations.iteration_key(run.name, number)

        def read() -> Figures:
            try:
                return iterations.read_iteration(self._store, run.name, number)
            except NotFoundError as error:
                if number < run.listed.iterations:
                    raise IntegrityError(f"{key} is missing in {self._store.url}, but later ones are there.") from error
                raise

        found = self._damage.guard("iteration", key, read)
        if found is not None:
            run.figures[number] = found
        return found is not None or self._damage.has("iteration", key)


def _pass_rates(run: _Run) -> list[tuple[int, float]]:
    path = "reasoner.pass_rate"
    return [(number, run.figures[number][path]) for number in sorted(run.figures) if path in run.figures[number]]


def _throughput(run: _Run, window: int) -> Iterator[Sample]:
    """Seconds by phase and tokens, of the last iteration and of all."""
    labels, history = run.arm.labels(), run.history
    tokens = [_tokens(one, run.config.recipe.group_size) for one in history]
    durations = [one["seconds.total"] for one in history if "seconds.total" in one]
    if durations:
        yield Sample("spice_iteration_duration_seconds", durations[-1], labels)
        yield Sample("spice_recent_iteration_duration_seconds", fmean(durations[-window:]), labels)
    for phase in PHASES:
        seconds = [one[f"seconds.{phase}"] for one in history if f"seconds.{phase}" in one]
        if seconds:
            where = {**labels, "phase": phase}
            yield Sample("spice_iteration_phase_seconds", seconds[-1], where)
            yield Sample("spice_phase_seconds_total", sum(seconds), where)
            if phase in tokens[-1] and seconds[-1] > 0:
                yield Sample("spice_tokens_per_second", tokens[-1][phase] / seconds[-1], where)
    for role, phase in (("challenger", "challenge"), ("reasoner", "answer")):
        generated = sum(one.get(phase, 0.0) for one in tokens)
        yield Sample("spice_generated_tokens_total", generated, {**labels, "role": role})
    yield Sample("spice_learned_tokens_total", sum(one.get("update", 0.0) for one in tokens), labels)


def _tokens(one: Figures, group_size: int) -> dict[str, float]:
    """Tokens by phase. Iterations record means; the numbers of outputs that they are means of follow."""
    products = {
        "challenge": (one.get("challenger.attempts"), one.get("challenger.tokens_mean")),
        "answer": (one.get("tasks.valid", 0.0) * group_size, one.get("reasoner.tokens_mean")),
        "update": (one.get("learner.tokens"), 1.0),
    }
    return {phase: n * mean for phase, (n, mean) in products.items() if n is not None and mean is not None}
