"""`spice doctor`: what the store can do, found out by trying."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

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

    from spice.store.probe import Finding


def doctor(
    preset: PresetOption = DEFAULT_PRESET,
    file: FileOption = None,
    sets: SetOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check what the store can do, by trying; fails if guardrails could not stand on it."""
    from spice.store import open_store
    from spice.store.probe import probe

    opened = open_store(load_config(preset, file, sets, store).store)
    findings = probe(opened, datetime.now(UTC))
    emit({"store": opened.url, "findings": findings}, _table(opened.url, findings), as_json)
    if any(finding.required and not finding.ok for finding in findings):
        raise typer.Exit(1)


def _table(url: str, findings: list[Finding]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(f"Store {url}"), title_justify="left", box=None, padding=(0, 2, 0, 0))
    for heading in ("", "tried", "seen", "what depends on it"):
        table.add_column(heading, overflow="fold")
    for finding in findings:
        answer = "yes" if finding.ok else "NO" if finding.required else "no"
        table.add_row(answer, finding.name, Text(finding.detail), finding.needed_for)
    return table
