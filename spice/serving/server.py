"""Run the gateway on a port."""

from __future__ import annotations

import ipaddress
import random
import socket
from collections.abc import Callable

import uvicorn

from spice.config import Config
from spice.errors import ConfigError
from spice.serving.app import build
from spice.store.base import ObjectStore

_IDLE_SECONDS = 30  # how long a connection without a request is kept


def serve(store: ObjectStore, config: Config, started: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM; what is being answered then may end within `serving.drain_seconds`.

    Args:
        store: what is followed.
        config: `serving` above all.
        started: is told the address once the port is open.

    Raises:
        ConfigError: the port is taken, or anyone could ask without a key.
    """
    require_closed(config)
    listener = _listen(config.serving.host, config.serving.port)
    host, port = listener.getsockname()[:2]
    started(f"http://{f'[{host}]' if ':' in host else host}:{port}")
    with listener:
        server(store, config).run(sockets=[listener])


def server(store: ObjectStore, config: Config) -> uvicorn.Server:
    """The server of the gateway, for a socket that listens already."""
    return uvicorn.Server(
        uvicorn.Config(
            build(store, config, rng=random.Random()),
            access_log=False,  # the gateway writes its own lines, with the release
            log_config=None,
            server_header=False,
            proxy_headers=False,
            ws="none",
            timeout_keep_alive=_IDLE_SECONDS,
            timeout_graceful_shutdown=int(config.serving.drain_seconds),
        )
    )


def require_closed(config: Config) -> None:
    """Raise `ConfigError` if keys are not asked for although other machines can reach the port."""
    if config.serving.require_keys or _is_loopback(config.serving.host):
        return
    raise ConfigError(
        f"serving.require_keys is off and serving.host is {config.serving.host}, so anyone who reaches this machine "
        "could use the model. Listen on 127.0.0.1, or make keys with `spice serve keys add`."
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"{host}:{port} cannot be listened on: {error.strerror}. Set serving.host and serving.port."
        ) from error
    return listener
