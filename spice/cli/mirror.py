"""`spice mirror`: tell Kubernetes the state of the kill-switch, so that admission policies can act on it."""

from __future__ import annotations

import signal
import threading
from typing import Annotated

import typer

from spice.cli.common import DEFAULT_PRESET, FileOption, PresetOption, SetOption, StoreOption, load_config


def mirror(
    account: Annotated[
        str, typer.Option("--account", help="The service account whose annotations to write.")
    ] = "spice-kill-switch",
    seconds: Annotated[float, typer.Option("--seconds", min=0.1, help="Between two looks at the store.")] = 1.0,
    preset: PresetOption = DEFAULT_PRESET,
    file: FileOption = None,
    sets: SetOption = None,
    store: StoreOption = None,
) -> None:
    """Keep annotations in this namespace equal to the kill-switch, until stopped."""
    from spice.kubeflow.annotations import AccountAnnotations
    from spice.kubeflow.mirror import Mirror
    from spice.store import open_store

    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    opened = open_store(load_config(preset, file, sets, store).store)
    Mirror(opened, AccountAnnotations.open(account)).follow(lambda: stopped.wait(seconds))
