"""Runs the console until it is stopped."""

from __future__ import annotations

import uvicorn

from spice.config import Config
from spice.console.app import create_app
from spice.console.context import open_console
from spice.console.signers import Signers
from spice.store.base import ObjectStore
from spice.trust.keys import key_folder
from spice.trust.ledger import Clock


def serve(store: ObjectStore, config: Config, host: str, port: int, clock: Clock) -> None:
    """Answer on `host`:`port` until interrupted. Raises `ConfigError` if the console's settings are wrong."""
    signers = Signers(store, key_folder(), config.console.key)
    bound = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    app = create_app(open_console(store, config, signers, clock, bound))
    # Whom a proxy speaks for is decided by `console.proxies` alone, from the address that really connected.
    uvicorn.run(app, host=host, port=port, log_level="warning", proxy_headers=False, server_header=False)
