"""`spice exporter`: metrics of the store for Prometheus."""

from __future__ import annotations

from typing import Annotated

import typer

from spice.cli.common import (
    DEFAULT_PRESET,
    FileOption,
    PresetOption,
    SetOption,
    StoreOption,
    load_config,
)


def exporter(
    host: Annotated[
        str, typer.Option("--host", help="Address to listen on; 0.0.0.0 for all. There is no log-in.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Port to listen on.")] = 9464,
    preset: PresetOption = DEFAULT_PRESET,
    file: FileOption = None,
    sets: SetOption = None,
    store: StoreOption = None,
) -> None:
    """Serve metrics of runs, evaluations, drift, releases and the kill-switch at /metrics, until stopped.

    It only reads the store and needs no key. Scrapes are answered from memory; the settings under `monitoring` say
    how often the store is read.
    """
    import signal
    import sys
    import threading
    import time

    from spice.monitoring.exporter import Exporter, serve
    from spice.store import open_store

    config = load_config(preset, file, sets, store)
    opened = open_store(config.store)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    print(f"Metrics of {opened.url} at http://{host}:{port}/metrics", file=sys.stderr, flush=True)
    serve(Exporter(opened, config, time.time), host, port, config.monitoring.refresh_seconds, stop)
