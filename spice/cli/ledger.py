"""`spice ledger`: what was done, by whom, on which evidence, and whether that record is whole."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

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
from spice.errors import ConfigError

if TYPE_CHECKING:
    from spice.promotion.history import Moment

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
            Text(entry.person),
            Text(entry.action),
            Text(short(entry.subject)),
            Text(str(entry.body.get("reason") or "")),
        )
    emit(entries[-last:], table if entries else "The ledger is empty.", as_json)


@ledger.command()
def at(
    time: Annotated[str, typer.Argument(help="such as 2026-03-01T12:00:00Z, or 2026-03-01 for its first moment; UTC")],
    preset: PresetOption = DEFAULT_PRESET,
    file: FileOption = None,
    sets: SetOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """What was live at a time, on which evidence, requested and approved by whom; from the ledger alone."""
    from spice.promotion import history
    from spice.store import open_store

    place = open_store(load_config(preset, file, sets, store).store)
    found = history.at(place, _moment(time))
    emit(found, _told(found), as_json)


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


def _moment(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(f"{text!r} is no time. Give one such as 2026-03-01T12:00:00Z.") from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _told(found: Moment) -> str:
    lines = [f"At {found.time}, after {found.entries} ledger entries:", f"  live         {found.live or 'nothing'}"]
    if found.since:
        why = f": {found.since.body['reason']}" if found.since.body.get("reason") else ""
        did = f"{found.since.action} by {found.since.person}{why}"
        lines.append(f"  since        {found.since.time}, entry {found.since.sequence}, {did}")
    if found.release:
        lines += [
            f"  released     {found.release.time}, entry {found.release.entry}, by {found.release.releaser}",
            f"  requested by {found.release.requester}",
            f"  approved by  {', '.join(found.release.approvers) or 'nobody'}",
            f"  evidence     {found.release.evaluation}",
            f"  decision     {found.release.decision}  (policy {found.release.policy[:12]})",
            f"  request      {found.release.request}",
        ]
    lines.append(f"  switch       {f'ENGAGED by {found.engaged_by}' if found.engaged else 'not engaged'}")
    lines += [f"  revoked      {ref}" for ref in found.revoked]
    if found.late:
        numbers = ", ".join(map(str, found.late))
        lines.append(f"  Later entries that claim an earlier time, by their actors' clocks: {numbers}.")
    return "\n".join(lines)
