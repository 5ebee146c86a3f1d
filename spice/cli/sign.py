"""`spice sign`: vouch for a checkpoint with an OpenSSF model-signing signature."""

from __future__ import annotations

from typing import Annotated

import typer

from spice.cli.acting import AsOption, acting, find, now
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


def sign(
    checkpoint: Annotated[str, typer.Argument(help="checkpoints/<digest>; the digest may be cut short")],
    name: AsOption = "local",
    preset: PresetOption = DEFAULT_PRESET,
    file: FileOption = None,
    sets: SetOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Sign a checkpoint's files, as whoever trained it may before anybody requests its release."""
    from spice.promotion import checkpoint as checkpoints
    from spice.store import open_store

    place = open_store(load_config(preset, file, sets, store).store)
    ref = find(place, "checkpoints", checkpoint)
    signature = checkpoints.sign(place, ref, acting(place, name), now)
    emit({"checkpoint": ref, "signature": signature}, f"{name} signed {ref}.\n  signature  {signature}", as_json)
