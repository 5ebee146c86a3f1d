"""`spice runs`: what was trained in this store, and how it ended."""

from __future__ import annotations

from spice.cli.acting import short
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


def runs(
    preset: PresetOption = DEFAULT_PRESET,
    file: FileOption = None,
    sets: SetOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the runs in the store with their state and their references."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from spice import reporting
    from spice.store import open_store

    opened = open_store(load_config(preset, file, sets, store).store)
    found = reporting.runs(opened)
    if not found and not as_json:
        emit([], f"There are no runs in {opened.url}. `spice run DOCS` makes one.", as_json)
        return
    table = Table("run", "status", "corpus", "checkpoint", "evaluation", "request", box=box.SIMPLE)
    for name, info in found:
        refs = (info.corpus, info.checkpoint, info.evaluation, info.request)
        table.add_row(Text(name), Text(info.status), *(Text(short(ref)) for ref in refs))
    emit([{"run": name, **info.model_dump()} for name, info in found], table, as_json)
