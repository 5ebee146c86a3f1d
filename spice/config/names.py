"""What people may call the things that they start."""

from __future__ import annotations

import re

from spice.errors import ConfigError

_RUN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def require_run_name(name: str) -> str:
    """Return the name of a run as it is; it is the name of a folder in the store, on whatever the store lies.

    Raises:
        ConfigError: it cannot be the name of a folder everywhere.
    """
    if not _RUN.fullmatch(name):
        raise ConfigError(f"{name!r} is no name for a run; use up to 100 letters, digits, dots, dashes or _")
    return name
