"""`spice gc`: find, and on demand delete, what nothing refers to."""

from __future__ import annotations

import time
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
from spice.cli.progress import reporter

if TYPE_CHECKING:
    from rich.console import RenderableType

    from spice.store.gc import Garbage


def gc(
    delete: Annotated[
        bool, typer.Option("--delete/--dry-run", help="Delete what is found, instead of listing it.")
    ] = False,
    grace_hours: Annotated[
        float, typer.Option(min=1.0, help="Never touch what is younger; a run in progress may need it.")
    ] = 24.0,
    preset: PresetOption = DEFAULT_PRESET,
    file: FileOption = None,
    sets: SetOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """List what nothing in the store refers to; with --delete, remove it."""
    from spice.store import open_store
    from spice.store.gc import find, remove

    opened = open_store(load_config(preset, file, sets, store).store)
    now, grace = time.time(), grace_hours * 3600
    with reporter(as_json) as report:
        found = find(opened, now, grace, lambda count: report(count, 0, "look through the store"))
        removed = []
        for done, garbage in enumerate(found if delete else [], 1):
            if remove(opened, garbage, now, grace):
                removed.append(garbage)
            report(done, len(found), "delete", garbage.name)
    results = [
        {"name": each.name, "reason": each.reason, "objects": len(each.objects), "bytes": each.size}
        for each in (removed if delete else found)
    ]
    emit(
        {"store": opened.url, "deleted": delete, "garbage": results},
        _summary(opened.url, removed if delete else found, delete),
        as_json,
    )


def _summary(url: str, garbage: list[Garbage], deleted: bool) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    if not garbage:
        return f"Nothing to delete in {url}."
    size = sum(each.size for each in garbage) / 1e6
    title = f"Deleted {size:.1f} MB from {url}" if deleted else f"{size:.1f} MB in {url} can go: `spice gc --delete`"
    table = Table(title=Text(title), title_justify="left", box=None, padding=(0, 2, 0, 0))
    table.add_column("MB", justify="right")
    table.add_column("what", overflow="fold")
    table.add_column("why")
    for each in garbage:
        table.add_row(f"{each.size / 1e6:.1f}", Text(each.name), each.reason)
    return table
