"""`spice rollback`: go back to an earlier release."""

from __future__ import annotations

from typing import Annotated

import typer

from spice.cli.acting import AsOption, ReasonOption, acting, find, governed, now
from spice.cli.common import (
    DEFAULT_PRESET,
    FileOption,
    JsonOption,
    PresetOption,
    SetOption,
    StoreOption,
    emit,
)


def rollback(
    name: AsOption = "local",
    to: Annotated[
        str | None, typer.Option("--to", help="An earlier release; else the one before the live one.")
    ] = None,
    reason: ReasonOption = "",
    preset: PresetOption = DEFAULT_PRESET,
    file: FileOption = None,
    sets: SetOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Go back to the release before the live one, or to an earlier one."""
    from spice.promotion import release

    _, place = governed(preset, file, sets, store)
    target = to and find(place, "checkpoints", to)
    status = release.rollback(place, acting(place, name), now, target, reason)
    human = f"Live: {status.live or 'nothing'}  (ledger entry {status.sequence})"
    emit(status, human, as_json)
