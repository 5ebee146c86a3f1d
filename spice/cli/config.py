"""`spice config`: what is set, what it means, and where each value came from."""

from __future__ import annotations

import typer

from spice.cli.common import (
    DEFAULT_PRESET,
    FileOption,
    JsonOption,
    PresetOption,
    SetOption,
    StoreOption,
    emit,
    resolve_settings,
)

config = typer.Typer(help="Show settings and presets.", no_args_is_help=True)


@config.command()
def show(
    preset: PresetOption = DEFAULT_PRESET,
    file: FileOption = None,
    sets: SetOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print every setting with its value, where the value came from and what it means."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from spice import settings

    found = settings.settings(resolve_settings(preset, file, sets, store))
    table = Table("setting", "value", "from", "meaning", box=box.SIMPLE)
    for item in found:
        style = "dim" if item.origin == "default" else ""
        table.add_row(item.key, Text(_text(item.value)), Text(item.origin), Text(item.description), style=style)
    emit(found, table, as_json)


@config.command()
def presets(as_json: JsonOption = False) -> None:
    """List the presets that ship with the package."""
    from spice import settings

    found = settings.presets()
    width = max(map(len, found))
    emit(found, "\n".join(f"{name:<{width}}  {preset.description}" for name, preset in found.items()), as_json)


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "(none)"
    return "(none)" if value is None else str(value)
