"""`spice ledger`: what was done, by whom, on which evidence, and whether that record is whole."""

from __future__ import annotations

from typing import Annotated

import typer

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

ledger = typer.Typer(help="Show or verify the release ledger.", no_args_is_help=True)


@ledger.command()
def show(
    last: Annotated[int, typer.Option("--last", min=1, help="Only the last entries.")] = 50,
    preset: PresetOption = DEFAULT_PRESET,
    file: FileOption = None,
    sets: SetOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """List entries, oldest first, after verifying all of them."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from spice.promotion.log import ReleaseLog
    from spice.store import open_store
    from spice.trust.ledger import Entry

    entries: list[Entry] = []
    ReleaseLog(open_store(load_config(preset, file, sets, store).store), entries.append)
    table = Table("entry", "time", "who", "did", "to what", "because", box=box.SIMPLE)
    for entry in entries[-last:]:
        table.add_row(
            str(entry.sequence),
            entry.time,
            Text(entry.actor),
            Text(entry.action),
            Text(short(entry.subject)),
            Text(str(entry.body.get("reason") or "")),
        )
    emit(entries[-last:], table if entries else "The ledger is empty.", as_json)


@ledger.command()
def verify(
    root: Annotated[str | None, typer.Option("--root", help="What the first key's fingerprint must be.")] = None,
    preset: PresetOption = DEFAULT_PRESET,
    file: FileOption = None,
    sets: SetOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check every hash, signature and rule of the ledger, and that its evidence is there. Exit code 1 if not."""
    from spice.promotion import audit
    from spice.store import open_store

    found = audit.verify(open_store(load_config(preset, file, sets, store).store), root)
    lines = [
        f"{found.entries} entries: hashes, signatures and rules are right.",
        f"  first key   {found.root or '(none)'}  {found.fingerprint}",
        f"  last entry  {found.head}",
        f"  live        {found.live or 'nothing'}",
        f"  switch      {'ENGAGED' if found.engaged else 'not engaged'}",
        *(f"PROBLEM: {problem}" for problem in found.problems),
    ]
    emit(found, "\n".join(lines), as_json)
    if found.problems:
        raise typer.Exit(1)


@ledger.command()
def recover(
    preset: PresetOption = DEFAULT_PRESET,
    file: FileOption = None,
    sets: SetOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Bring the release pointer in line with the ledger, after a crash between the two. Needs no key."""
    from spice.promotion import release
    from spice.store import open_store

    status = release.recover(open_store(load_config(preset, file, sets, store).store))
    emit(status, f"Live: {status.live or 'nothing'}  (ledger entry {status.sequence})", as_json)
