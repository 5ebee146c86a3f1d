"""`spice console`: the web console, and logging in to one."""

from __future__ import annotations

from typing import Annotated

import typer

from spice.cli.acting import AsOption, now
from spice.cli.common import (
    DEFAULT_PRESET,
    FileOption,
    PresetOption,
    SetOption,
    StoreOption,
    emit,
    load_config,
)
from spice.errors import ConfigError

console = typer.Typer(help="Run the web console, or log in to one.", invoke_without_command=True)


@console.callback()
def serve(
    context: typer.Context,
    host: Annotated[str, typer.Option("--host", help="Where to listen; 0.0.0.0 for other machines.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Where to listen.")] = 8080,
    preset: PresetOption = DEFAULT_PRESET,
    file: FileOption = None,
    sets: SetOption = None,
    store: StoreOption = None,
) -> None:
    """Run the web console until Ctrl-C. Everybody who reaches it can read; acting needs a login."""
    if context.invoked_subcommand is not None:
        return
    try:
        from spice.console.serve import serve
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"the console needs {error.name}, which is not installed: pip install 'spice-platform[console]'"
        ) from error
    from spice.store import open_store

    config = load_config(preset, file, sets, store)
    opened = open_store(config.store)
    print(f"The console of {opened.url} is at {config.console.url or f'http://{host}:{port}'}  (Ctrl-C stops it)")
    serve(opened, config, host, port, now)


@console.command()
def login(
    url: Annotated[str, typer.Argument(help="Address of the console, such as http://127.0.0.1:8080")],
    name: AsOption = "local",
) -> None:
    """Prove with your key who you are, and get a link that logs you in once."""
    from spice.console.client import login_link
    from spice.trust.keys import key_folder, load_signer

    link = login_link(url, load_signer(name, key_folder()))
    emit({"link": link}, f"Open this link within three minutes; it works once:\n{link}", False)
