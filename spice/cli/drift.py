"""`spice drift`: whether what comes in now is like what came in before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from spice.cli.common import (
    DEFAULT_PRESET,
    FileOption,
    JsonOption,
    PresetOption,
    SetOption,
    StoreOption,
    emit,
    load_config,
)

if TYPE_CHECKING:
    from rich.table import Table

    from spice.monitoring.report import DriftReport


def drift(
    reference: Annotated[
        str | None, typer.Argument(help="What was: datasets/<name>@<tag>, runs/<run> or traffic/...")
    ] = None,
    current: Annotated[str | None, typer.Argument(help="What is; of the same kinds.")] = None,
    *,
    run: Annotated[
        str | None, typer.Option("--run", metavar="RUN", help="A run's first iterations against its last.")
    ] = None,
    preset: PresetOption = DEFAULT_PRESET,
    file: FileOption = None,
    sets: SetOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare two dataset versions, two runs, one run's start and end, or the gateway's requests with either.

    Lengths and character trigrams are compared, and a run's pass rate is searched for a change of level. Thresholds
    come from permutations of the very samples, at the false-alarm rate `drift.false_alarm_rate`. The report is stored;
    finding drift is no failure, so the exit code is 0.
    """
    from rich.console import Group
    from rich.text import Text

    from spice import stages
    from spice.errors import ConfigError

    if run is not None and reference is None:
        reference = current = f"runs/{run}"
    if reference is None or current is None or (run is not None and reference != f"runs/{run}"):
        raise ConfigError(
            "Name what was and what is, `spice drift REFERENCE CURRENT`, or a run, `spice drift --run RUN`."
        )
    found = stages.drift_check(reference, current, load_config(preset, file, sets, store))
    words = Text(f"{_verdict(found.report)}\nStored as {found.ref}")
    emit({"drift": found.ref, **found.report.model_dump(mode="json")}, Group(*_tables(found.report), words), as_json)


def _tables(report: DriftReport) -> list[Table]:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    sides = Table("", "what", "units", "drawn", "median length", box=box.SIMPLE)
    for name, side in (("was", report.reference), ("is", report.current)):
        what = Text(f"{side.part}, {side.ref}")
        sides.add_row(name, what, str(side.available), str(side.drawn), f"{side.median_length:.0f}")
    tests = Table("of", "statistic", "value", "threshold", "p", "", box=box.SIMPLE)
    for test in report.tests:
        tests.add_row(
            test.feature,
            test.statistic,
            f"{test.value:.4f}",
            f"{test.threshold:.4f}",
            f"{test.p_value:.3f}",
            "DRIFT" if test.drifted else "",
        )
    for change in report.pass_rate:
        found = f"CHANGED since iteration {change.since}" if change.detected else ""
        tests.add_row(
            "pass rate", f"cusum {change.direction}", f"{change.value:.2f}", f"{change.threshold:.2f}", "", found
        )
    return [sides, tests]


def _verdict(report: DriftReport) -> str:
    rate = f"{report.settings.false_alarm_rate:.0%}"
    if report.drifted:
        return f"Drift was found. Where nothing changed that happens in {rate} of such checks."
    return "No drift was found, which does not show that there is none: small samples show large changes only."
