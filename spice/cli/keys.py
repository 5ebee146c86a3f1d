"""`spice keys`: signing keys. The private half stays with its owner; the public half is registered in the store."""

from __future__ import annotations

from typing import Annotated

import typer

from spice.cli.acting import ReasonOption, acting, now
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
from spice.errors import RefusedError, SpiceError

keys = typer.Typer(help="Create and list signing keys.", no_args_is_help=True)

TokenOption = Annotated[
    str,
    typer.Option(
        "--token",
        metavar="URI",
        help="PKCS#11 URI of a P-256 key in a token, which is to sign checkpoints; it stays there.",
    ),
]


@keys.command()
def create(
    name: Annotated[str, typer.Argument(help="the owner's name, such as anna")],
    roles: Annotated[
        list[str] | None,
        typer.Option("--role", help="admin, requester, approver, releaser, operator or delegate. Repeatable."),
    ] = None,
    groups: Annotated[
        list[str] | None, typer.Option("--group", help="A group of the organisation, such as legal. Repeatable.")
    ] = None,
    identities: Annotated[
        list[str] | None,
        typer.Option("--identity", help="What an identity provider calls the owner. Repeatable."),
    ] = None,
    by: Annotated[str, typer.Option("--by", metavar="NAME", help="The admin who vouches for the key.")] = "local",
    token: TokenOption = "",
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
    from spice.trust.keys import create_signer, key_folder, load_signer
    from spice.trust.register import checked_roles

    place = open_store(load_config(preset, file, sets, store).store)
    wanted = checked_roles(roles or ["approver"])
    root = Keyring(place).root()
    introducer = None if root is None or root.name == name else acting(place, by)
    folder = key_folder()
    there = (folder / f"{name}.pem").exists()
    signer = load_signer(name, folder) if there else create_signer(name, folder, token=token)
    if token not in ("", signer.token):
        raise RefusedError(
            f"There is a private key of {name} already, whose checkpoint key is another. Take another name, or "
            f"replace it: `spice keys rotate {name} --token URI`."
        )
    record = enrol(place, signer, wanted, now, introducer, groups=groups or (), identities=identities or ())
    human = "\n".join(
        [
            f"{record.name} may act as {', '.join(record.roles)} in {place.url}.",
            f"  private key  {folder / f'{name}.pem'}",
            f"  fingerprint  {record.fingerprint}",
            *(["  checkpoints  are signed in the token"] if signer.token else []),
        ]
    )
    emit({**record.model_dump(), "fingerprint": record.fingerprint}, human, as_json)


@keys.command()
def rotate(
    name: Annotated[str, typer.Argument(help="whose key")],
    by: Annotated[
        str | None,
        typer.Option("--by", metavar="ADMIN", help="An admin vouches; needed if the old key is lost or revoked."),
    ] = None,
    token: TokenOption = "",
    preset: PresetOption = DEFAULT_PRESET,
    file: FileOption = None,
    sets: SetOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Replace a key by a new one. What the old one signed before stays good; from now on it signs nothing."""
    from spice.store import open_store
    from spice.trust.keys import key_folder
    from spice.trust.rotation import rotate_own

    place = open_store(load_config(preset, file, sets, store).store)
    record = rotate_own(place, name, key_folder(), now, acting(place, by) if by else None, token)
    human = f"{name} has a new key in {place.url}.\n  fingerprint  {record.fingerprint}"
    emit({**record.model_dump(), "fingerprint": record.fingerprint}, human, as_json)


@keys.command()
def revoke(
    name: Annotated[str, typer.Argument(help="whose key")],
    by: Annotated[str, typer.Option("--by", metavar="NAME", help="An admin, or the owner.")] = "local",
    from_entry: Annotated[
        int | None,
        typer.Option("--from-entry", min=0, help="The first ledger entry not to be trusted; by default the next."),
    ] = None,
    reason: ReasonOption = "",
    preset: PresetOption = DEFAULT_PRESET,
    file: FileOption = None,
    sets: SetOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a key sign nothing more; what it signed since --from-entry does not count either."""
    from spice.store import open_store
    from spice.trust.rotation import revoke as revoke_key

    place = open_store(load_config(preset, file, sets, store).store)
    found = revoke_key(place, name, acting(place, by), now, from_entry, reason)
    human = (
        f"The key of {name} is revoked from ledger entry {found.from_entry} on.\n"
        f"A new one: `spice keys rotate {name} --by ADMIN`."
    )
    emit(found, human, as_json)


@keys.command("list")
def list_(
    preset: PresetOption = DEFAULT_PRESET,
    file: FileOption = None,
    sets: SetOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the registered keys, what each may do, and whether its private half is on this machine."""
    from spice.promotion.log import ReleaseLog
    from spice.store import open_store
    from spice.trust.keys import key_folder

    place = open_store(load_config(preset, file, sets, store).store)
    keyring = ReleaseLog(place).keyring
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
        problem = keyring.why_not(key)
        rows[-1]["problem"] = problem
        notes = [note for note, holds in (("first key", first), ("on this machine", here)) if holds]
        notes += [*(f"group {group}" for group in key.groups), *key.identities]
        notes += [problem.upper()] if problem else []
        told = f"  ({', '.join(notes)})" if notes else ""
        lines.append(f"{name:<16} {key.fingerprint[:16]}  {', '.join(key.roles)}{told}")
    emit(rows, "\n".join(lines) or f"{place.url} has no keys yet. `spice keys create NAME` makes the first.", as_json)
