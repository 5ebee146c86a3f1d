"""`spice serve`: the gateway, and the API keys that open it."""

from __future__ import annotations

import logging
import sys
from typing import Annotated

import typer

from spice.cli.acting import AsOption, acting, now
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

serve = typer.Typer(
    help="Answer from the live release, with the OpenAI API; `spice serve keys` makes the keys for it.",
    invoke_without_command=True,
)
keys = typer.Typer(help="API keys: who may ask the gateway for what.", no_args_is_help=True)
serve.add_typer(keys, name="keys")


@serve.callback()
def run(
    context: typer.Context,
    host: Annotated[str | None, typer.Option(help="Address to listen on; short for serving.host.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; short for serving.port.")] = None,
    preset: PresetOption = DEFAULT_PRESET,
    file: FileOption = None,
    sets: SetOption = None,
    store: StoreOption = None,
) -> None:
    """Answer from the live release until stopped."""
    if context.invoked_subcommand is not None:
        return
    try:
        from spice.serving.server import serve as listen
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"The gateway needs {error.name}, which is not installed: pip install 'spice-platform[serve]'"
        ) from error
    from spice.store import open_store

    short = {"host": host, "port": port}
    given = [f"serving.{name}={value}" for name, value in short.items() if value is not None]
    config = load_config(preset, file, [*(sets or ()), *given], store)
    logging.getLogger("spice.serving").setLevel(logging.INFO)
    place = open_store(config.store)
    listen(place, config, lambda url: print(f"Serving what is live in {place.url} on {url}/v1", file=sys.stderr))


@keys.command()
def add(
    owner: Annotated[str, typer.Argument(help="whose key it is, such as intranet-search")],
    scopes: Annotated[
        list[str] | None, typer.Option("--scope", help="generate, models or metrics. Repeatable.")
    ] = None,
    days: Annotated[float | None, typer.Option(help="The key expires after so many days.")] = None,
    name: AsOption = "local",
    preset: PresetOption = DEFAULT_PRESET,
    file: FileOption = None,
    sets: SetOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make an API key and show it, once. By default it opens generate and models. An admin signs its record."""
    from spice.serving import apikeys
    from spice.store import open_store

    place = open_store(load_config(preset, file, sets, store).store)
    record, token = apikeys.add(place, acting(place, name), owner, scopes or ["generate", "models"], now, days)
    human = "\n".join(
        [
            token,
            f"  id       {record.id}",
            f"  owner    {record.owner}",
            f"  opens    {', '.join(record.scopes)}",
            f"  expires  {record.expires or 'never'}",
            "Keep it: the ledger has only its hash. Running gateways know it at once.",
        ]
    )
    emit({**record.model_dump(mode="json", exclude={"sha256"}), "key": token}, human, as_json)


@keys.command("list")
def list_(
    preset: PresetOption = DEFAULT_PRESET,
    file: FileOption = None,
    sets: SetOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the API keys: id, owner, what each opens."""
    from spice.serving import apikeys
    from spice.store import open_store

    book = apikeys.read(open_store(load_config(preset, file, sets, store).store))
    rows, lines = [], []
    for key in book.all.values():
        revoked = key.id not in book.usable
        state = "revoked" if revoked else f"expires {key.expires:%Y-%m-%d}" if key.expires else ""
        rows.append({**key.model_dump(mode="json", exclude={"sha256"}), "revoked": revoked})
        lines.append(f"{key.id}  {key.owner:<24}{', '.join(key.scopes):<26}{state}".rstrip())
    emit(rows, "\n".join(lines) or "There are no API keys. `spice serve keys add OWNER` makes one.", as_json)


@keys.command()
def revoke(
    identifier: Annotated[str, typer.Argument(metavar="ID", help="id of the key; see `spice serve keys list`")],
    name: AsOption = "local",
    preset: PresetOption = DEFAULT_PRESET,
    file: FileOption = None,
    sets: SetOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Revoke an API key for good."""
    from spice.serving import apikeys
    from spice.store import open_store

    place = open_store(load_config(preset, file, sets, store).store)
    apikeys.revoke(place, acting(place, name), identifier, now)
    emit({"id": identifier, "revoked": True}, f"{identifier} opens nothing any more.", as_json)
