"""`spice keys`: signing keys. The private half stays with its owner; the public half is registered in the store."""

from __future__ import annotations

from typing import Annotated

import typer

from spice.cli.acting import acting, now
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
from spice.errors import SpiceError

keys = typer.Typer(help="Create and list signing keys.", no_args_is_help=True)


@keys.command()
def create(
    name: Annotated[str, typer.Argument(help="the owner's name, such as anna")],
    roles: Annotated[
        list[str] | None,
        typer.Option("--role", help="admin, requester, approver, releaser or operator. Repeatable."),
    ] = None,
    by: Annotated[str, typer.Option("--by", metavar="NAME", help="The admin who vouches for the key.")] = "local",
    preset: PresetOption = DEFAULT_PRESET,
    file: FileOption = None,
    sets: SetOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a private key on this machine and register its public half. The store's first key may do everything."""
    from spice.store import open_store
    from spice.trust.enrol import enrol
    from spice.trust.keyring import Keyring
    from spice.trust.register import checked_roles
    from spice.trust.keys import create_signer, key_folder, load_signer

    place = open_store(load_config(preset, file, sets, store).store)
    wanted = checked_roles(roles or ["approver"])
    root = Keyring(place).root()
    introducer = None if root is None or root.name == name else acting(place, by)
    folder = key_folder()
    signer = load_signer(name, folder) if (folder / f"{name}.pem").exists() else create_signer(name, folder)
    record = enrol(place, signer, wanted, now, introducer)
    human = "\n".join(
        [
            f"{record.name} may act as {', '.join(record.roles)} in {place.url}.",
            f"  private key  {folder / f'{name}.pem'}",
            f"  fingerprint  {record.fingerprint}",
        ]
    )
    emit({**record.model_dump(), "fingerprint": record.fingerprint}, human, as_json)


@keys.command("list")
def list_(
    preset: PresetOption = DEFAULT_PRESET,
    file: FileOption = None,
    sets: SetOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the registered keys, what each may do, and whether its private half is on this machine."""
    from spice.store import open_store
    from spice.trust.keyring import Keyring
    from spice.trust.keys import key_folder

    place = open_store(load_config(preset, file, sets, store).store)
    keyring = Keyring(place)
    root = keyring.root()
    rows: list[dict[str, object]] = []
    lines: list[str] = []
    for name in keyring.names():
        try:
            key = keyring.get(name)
        except SpiceError as error:
            rows.append({"name": name, "problem": str(error)})
            lines.append(f"{name:<16} DOES NOT COUNT: {error}")
            continue
        here = (key_folder() / f"{name}.pem").exists()
        first = root is not None and root.name == name
        rows.append({**key.model_dump(), "fingerprint": key.fingerprint, "first": first, "here": here})
        notes = ", ".join(note for note, holds in (("first key", first), ("on this machine", here)) if holds)
        lines.append(f"{name:<16} {key.fingerprint[:16]}  {', '.join(key.roles)}{f'  ({notes})' if notes else ''}")
    emit(rows, "\n".join(lines) or f"{place.url} has no keys yet. `spice keys create NAME` makes the first.", as_json)
