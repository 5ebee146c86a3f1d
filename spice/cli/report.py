"""`spice report`: build a run's page again from what lies in the store."""

from __future__ import annotations

from typing import Annotated

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


def report(
    run: Annotated[str, typer.Argument(help="Name of the run; `spice runs` lists them.")],
    preset: PresetOption = DEFAULT_PRESET,
    file: FileOption = None,
    sets: SetOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Build the report of a run and say where it is."""
    from spice import reporting
    from spice.store import open_store

    opened = open_store(load_config(preset, file, sets, store).store)
    found = reporting.load(opened, run)
    where = reporting.build(opened, found)
    emit({"run": run, "report": where}, f"{reporting.summary(found)}\n\nReport: {where}", as_json)
