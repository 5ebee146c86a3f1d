"""One self-contained page per run.

No script, no font and no image is loaded: the page can be archived beside the checkpoint and opened anywhere. Tasks
and answers are model output and file names are strangers', so the template escapes everything, and a content
security policy forbids scripts and requests even if something slipped through.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources

from jinja2 import BaseLoader, ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from spice.evaluation.schema import SuiteFigures
from spice.reporting import chart, facts, figures
from spice.reporting.records import Run
from spice.reporting.samples import samples
from spice.settings import FIELDS
from spice.store import ObjectStore


def build(store: ObjectStore, run: Run) -> str:
    """Write `runs/<run>/report.html` and say where it is.

    Returns:
        A path if the store is a folder, else an `s3://` address.

    Raises:
        StoreError: the store cannot be written.
    """
    key = f"runs/{run.name}/report.html"
    store.put(key, render(run).encode())
    return f"{store.url.rstrip('/')}/{key}"


def render(run: Run) -> str:
    """The page as HTML."""
    suites = run.evaluation.suites if run.evaluation else {}
    page = environment().get_template("report.html.j2")
    return page.render(
        run=run,
        facts=facts,
        style=Markup(style()),
        suites=suites,
        bar=bars(suites),
        curves=figures.curves(run.iterations),
        coevolution=figures.coevolution_figure(run.coevolution),
        samples=samples(run),
        lineage=lineage(run),
        settings=list(_settings(run.config or {})),
    )


def environment(*more: BaseLoader) -> Environment:
    """Where the page's templates are, and those of `more`; everything is escaped and a missing value is an error."""
    found = Environment(
        loader=ChoiceLoader([*more, PackageLoader("spice.reporting", "templates")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {"percent": facts.percent, "number": chart.number}
    return found


def style() -> str:
    """The page's style sheet."""
    return resources.files("spice.reporting").joinpath("templates/report.css").read_text("utf-8")


def bars(suites: Mapping[str, SuiteFigures]) -> dict[str, Markup]:
    """Every suite's difference drawn on one common scale."""
    found = {name: suite.difference for name, suite in suites.items()}
    limit = max([0.05, *(abs(bound) for value in found.values() for bound in (value.low, value.high))])
    return {name: chart.interval_bar(value.low, value.value, value.high, limit) for name, value in found.items()}


@dataclass(frozen=True)
class Link:
    """One step of the lineage; `ref` is `None` if the run has not come so far."""

    name: str
    ref: str | None
    note: str = ""


def lineage(run: Run) -> list[Link]:
    """From the documents to the request, in order."""
    model = (run.config or {}).get("model", {})
    return [
        Link(
            "Dataset version",
            run.info.corpus,
            "of the documents; every segment names its file and place",
        ),
        Link("Model before training", run.info.base, str(model.get("name", ""))),
        Link("Code", run.info.code),
        Link("Checkpoint", run.info.checkpoint),
        Link("Evaluation", run.info.evaluation),
        Link("Gate decision", run.info.decision),
        Link("Release request", run.info.request),
    ]


def _settings(tree: Mapping[str, object], path: str = "") -> Iterator[tuple[str, object, str]]:
    """Dotted key, value and meaning of every leaf of a stored configuration."""
    for name, value in tree.items():
        key = f"{path}{name}"
        if isinstance(value, dict):
            yield from _settings(value, f"{key}.")
        else:
            yield key, value, (FIELDS[key].description or "") if key in FIELDS else ""
