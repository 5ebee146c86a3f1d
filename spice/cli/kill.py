"""`spice kill`: the kill-switch. One operator engages it, two release it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from spice.cli.acting import AsOption, ReasonOption, acting, governed, now
from spice.cli.common import (
    DEFAULT_PRESET,
    FileOption,
    JsonOption,
    PresetOption,
    SetOption,
    StoreOption,
    again,
    emit,
)

if TYPE_CHECKING:
    from spice.config import Config
    from spice.promotion.switch import SwitchStatus

kill = typer.Typer(help="Engage or release the kill-switch.", no_args_is_help=True)


@kill.command()
def engage(
    reason: ReasonOption,
    name: AsOption = "local",
    preset: PresetOption = DEFAULT_PRESET,
    file: FileOption = None,
    sets: SetOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Stop: revoke what is live, go back to the release before it, refuse promotions and new training."""
    from spice.promotion import switch

    config, place = governed(preset, file, sets, store)
    _show(switch.engage(place, acting(place, name), reason, now), config, as_json)


@kill.command()
def release(
    reason: ReasonOption,
    name: AsOption = "local",
    preset: PresetOption = DEFAULT_PRESET,
    file: FileOption = None,
    sets: SetOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Agree to release the switch; it is released when a second operator agrees."""
    from spice.promotion import switch

    config, place = governed(preset, file, sets, store)
    _show(switch.release(place, acting(place, name), reason, now), config, as_json)


@kill.command()
def status(
    preset: PresetOption = DEFAULT_PRESET,
    file: FileOption = None,
    sets: SetOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the switch. Exit code 1 if it is engaged or cannot be read."""
    from spice.promotion import switch

    config, place = governed(preset, file, sets, store)
    found = switch.status(place)
    _show(found, config, as_json)
    if found.engaged:
        raise typer.Exit(1)


def _show(found: SwitchStatus, config: Config, as_json: bool) -> None:
    lines = [f"The kill-switch is {'ENGAGED' if found.engaged else 'not engaged'}."]
    if found.by:
        lines.append(f"  {'engaged' if found.engaged else 'released'} by {found.by}: {found.reason}")
    if found.problem:
        lines.append(f"  {found.problem}")
    else:
        lines.append(f"  live: {found.live or 'nothing'}")
    if found.engaged and found.consents:
        lines.append(f"  {', '.join(found.consents)} agreed to release it; a second operator must, too:")
        lines.append(f"  spice kill release --as NAME --reason WHY {again(config)}")
    elif found.engaged:
        lines.append("  Two operators release it, each with:")
        lines.append(f"  spice kill release --as NAME --reason WHY {again(config)}")
    emit(found, "\n".join(lines), as_json)
