"""Evaluations, gate decisions and drift reports as metrics: of each dataset the newest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from typing import Any, Generic, TypeVar

from spice.evaluation import report as evaluations
from spice.evaluation.schema import EvaluationReport
from spice.monitoring import report as drift
from spice.monitoring.damage import Damage
from spice.monitoring.metrics import Family, Sample
from spice.monitoring.report import DriftReport
from spice.promotion import gate
from spice.promotion.gate import Decision
from spice.store.base import ObjectStore
from spice.trust.keyring import Keyring

_SUITE = ("corpus", "suite")
_TEST = ("subject", "corpus", "feature", "statistic")
FAMILIES = (
    Family("spice_evaluation_pass_ratio", "Share of a suite's items that a model gets right.", (*_SUITE, "model")),
    Family("spice_evaluation_difference_ratio", "Candidate's pass rate minus the base's.", _SUITE),
    Family("spice_evaluation_difference_low_ratio", "Lower bound of that difference, 95%.", _SUITE),
    Family("spice_evaluation_difference_high_ratio", "Upper bound of that difference, 95%.", _SUITE),
    Family("spice_evaluation_items", "Items of a suite.", _SUITE),
    Family("spice_evaluation_verdict", "1 for the verdict on the candidate, 0 for the others.", (*_SUITE, "verdict")),
    Family("spice_evaluation_contaminated_ratio", "Share of evaluation items found in training text.", ("corpus",)),
    Family("spice_evaluation_timestamp_seconds", "When the newest evaluation was stored.", ("corpus",)),
    Family("spice_evaluation_last_good_timestamp_seconds", "When the gate last passed a candidate.", ("corpus",)),
    Family("spice_drift_detected", "Whether the newest check found drift.", ("subject", "corpus")),
    Family("spice_drift_statistic", "A drift statistic of the newest check.", _TEST),
    Family("spice_drift_threshold", "What the statistic must exceed to count as drift.", _TEST),
    Family("spice_drift_pvalue", "Permutation p-value of the statistic.", _TEST),
    Family("spice_drift_timestamp_seconds", "When the newest check was stored.", ("subject", "corpus")),
)

VERDICTS = ("better", "not_worse", "inconclusive", "worse")
_NEWEST = 20  # of each kind; older ones say nothing about now

T = TypeVar("T")


@dataclass(frozen=True)
class _Found(Generic[T]):
    key: str
    modified: float
    content: T


class Evidence:
    """Reads each stored object once; contents never change, since their names are their digests.

    Decisions are read each time: whether a signature counts changes when its key is revoked.
    """

    def __init__(self, store: ObjectStore, damage: Damage) -> None:
        self._store, self._damage = store, damage
        self._read: dict[str, Any] = {}
        self._evaluations: list[_Found[EvaluationReport]] = []
        self._decisions: list[_Found[Decision]] = []
        self._drift: list[_Found[DriftReport]] = []

    def discover(self, keyring: Keyring | None) -> None:
        """List what is there, and read what is new.

        Args:
            keyring: whose signatures count, by the ledger; `None` while it does not say, and so no decision counts.

        Raises:
            StoreError: the store failed.
        """
        self._evaluations = self._newest("evaluation", evaluations.PREFIX, partial(_evaluation, self._store))
        self._decisions = []
        if keyring is not None:
            load = partial(gate.load, self._store, keyring=keyring)
            self._decisions = self._newest("decision", gate.PREFIX, load, again=True)
        self._drift = self._newest("drift", drift.PREFIX, partial(drift.load, self._store))

    @property
    def empty(self) -> bool:
        """Whether there is none."""
        return not (self._evaluations or self._decisions or self._drift)

    def samples(self) -> Iterator[Sample]:
        """The newest evaluation and the newest pass of each dataset, and the newest drift check of each subject."""
        for corpus, one in _by(self._evaluations, lambda report: _name(report.corpus)).items():
            yield from _evaluated(corpus, one)
        passes = [one for one in self._decisions if one.content.outcome == "pass"]
        for corpus, passed in _by(passes, lambda decision: _name(decision.facts.corpus)).items():
            yield Sample("spice_evaluation_last_good_timestamp_seconds", passed.modified, {"corpus": corpus})
        for (subject, corpus), checked in _by(self._drift, lambda report: (report.subject, report.corpus)).items():
            yield from _checked({"subject": subject, "corpus": corpus}, checked)

    def _newest(self, kind: str, prefix: str, load: Callable[[str], T], *, again: bool = False) -> list[_Found[T]]:
        listed = sorted(self._store.list(f"{prefix}/"), key=attrgetter("modified", "key"))[-_NEWEST:]
        found = []
        for info in listed:
            if again or info.key not in self._read:
                content = self._damage.guard(kind, info.key, partial(load, info.key.removesuffix(".json")))
                if content is None:
                    continue
                self._read[info.key] = content
            found.append(_Found(info.key, info.modified, self._read[info.key]))
        return found


def _evaluation(store: ObjectStore, ref: str) -> EvaluationReport:
    # Single answers are most of a report, and no metric.
    return evaluations.load(store, ref).model_copy(update={"items": {}})


K = TypeVar("K")


def _by(found: list[_Found[T]], key: Callable[[T], K]) -> dict[K, _Found[T]]:
    """The last one of each key; `found` is in order of time."""
    return {key(one.content): one for one in found}


def _name(corpus: str) -> str:
    return corpus.split("/")[1] if corpus.startswith("datasets/") else ""


def _evaluated(corpus: str, one: _Found[EvaluationReport]) -> Iterator[Sample]:
    for suite, figures in one.content.suites.items():
        labels = {"corpus": corpus, "suite": suite}
        for model, rate in (("candidate", figures.candidate), ("base", figures.base)):
            yield Sample("spice_evaluation_pass_ratio", rate.rate, {**labels, "model": model})
        yield Sample("spice_evaluation_difference_ratio", figures.difference.value, labels)
        yield Sample("spice_evaluation_difference_low_ratio", figures.difference.low, labels)
        yield Sample("spice_evaluation_difference_high_ratio", figures.difference.high, labels)
        yield Sample("spice_evaluation_items", figures.n, labels)
        for verdict in VERDICTS:
            yield Sample("spice_evaluation_verdict", figures.verdict == verdict, {**labels, "verdict": verdict})
    yield Sample("spice_evaluation_contaminated_ratio", one.content.contamination.share, {"corpus": corpus})
    yield Sample("spice_evaluation_timestamp_seconds", one.modified, {"corpus": corpus})


def _checked(labels: dict[str, str], one: _Found[DriftReport]) -> Iterator[Sample]:
    yield Sample("spice_drift_detected", one.content.drifted, labels)
    yield Sample("spice_drift_timestamp_seconds", one.modified, labels)
    for test in one.content.tests:
        which = {**labels, "feature": test.feature, "statistic": test.statistic}
        yield Sample("spice_drift_statistic", test.value, which)
        yield Sample("spice_drift_threshold", test.threshold, which)
        yield Sample("spice_drift_pvalue", test.p_value, which)
