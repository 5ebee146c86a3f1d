"""`spice promote`: make an approved checkpoint live."""

from __future__ import annotations

from spice.cli.acting import AsOption, RequestArgument, acting, find, governed, now
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


def promote(
    request: RequestArgument,
    name: AsOption = "local",
    preset: PresetOption = DEFAULT_PRESET,
    file: FileOption = None,
    sets: SetOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make an approved checkpoint live; refused, and said why, unless gate, approvals and switch allow it."""
    from spice.promotion import release

    config, place = governed(preset, file, sets, store)
    ref = find(place, "requests", request)
    status = release.promote(place, ref, acting(place, name), config.promotion, now)
    where = again(config, name)
    lines = [f"Live: {status.live}  (ledger entry {status.sequence})"]
    if status.previous:
        lines += [f"Before it: {status.previous}. To go back there:", f"  spice rollback {where}"]
    lines += ["To revoke what is live and stop everything:", f"  spice kill engage --reason WHY {where}"]
    emit(status, "\n".join(lines), as_json)
