"""Evidence: a candidate beside its base, figure by figure and item by item."""

from __future__ import annotations

from collections.abc import Callable

from spice.console.records import EvaluationDetail, ItemPage, Shown
from spice.console.views.paging import cut
from spice.errors import NotFoundError
from spice.evaluation.report import load
from spice.evaluation.schema import EvaluationReport, ItemRecord
from spice.store.base import ObjectStore

_FITS: dict[Shown, Callable[[ItemRecord], bool]] = {
    "all": lambda _item: True,
    "changed": lambda item: item.base.correct != item.candidate.correct,
    "gained": lambda item: item.candidate.correct and not item.base.correct,
    "lost": lambda item: item.base.correct and not item.candidate.correct,
    "wrong": lambda item: not item.base.correct and not item.candidate.correct,
}


def detail(store: ObjectStore, digest: str) -> EvaluationDetail:
    """The figures of a report. Raises `NotFoundError`, and `IntegrityError` if it was changed."""
    return _detail(digest, load(store, f"evaluations/{digest}"))


def items(store: ObjectStore, digest: str, suite: str, show: Shown, page: int) -> ItemPage:
    """Items of one suite, some at a time. Raises `NotFoundError` if the report has no such suite."""
    return _items(digest, load(store, f"evaluations/{digest}"), suite, show, page)


def both(
    store: ObjectStore, digest: str, suite: str | None, show: Shown, page: int
) -> tuple[EvaluationDetail, ItemPage | None]:
    """Figures and items with one reading; without a suite's name the items of the first suite."""
    report = load(store, f"evaluations/{digest}")
    chosen = suite or next(iter(report.suites), None)
    found = _items(digest, report, chosen, show, page) if chosen else None
    return _detail(digest, report), found


def _detail(digest: str, report: EvaluationReport) -> EvaluationDetail:
    return EvaluationDetail(
        ref=f"evaluations/{digest}",
        candidate=report.candidate,
        base=report.base,
        corpus=report.corpus,
        run=report.run,
        suites=report.suites,
        contamination=report.contamination,
    )


def _items(digest: str, report: EvaluationReport, suite: str, show: Shown, page: int) -> ItemPage:
    if suite not in report.items:
        raise NotFoundError(f"evaluations/{digest} has no suite {suite!r}; it has {', '.join(report.items) or 'none'}.")
    fitting = [item for item in report.items[suite] if _FITS[show](item)]
    part, page, pages = cut(fitting, page)
    return ItemPage(
        ref=f"evaluations/{digest}",
        suite=suite,
        show=show,
        page=page,
        pages=pages,
        total=len(fitting),
        items=tuple(part),
    )
