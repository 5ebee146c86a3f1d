"""Which code ran: recorded in every checkpoint, so that evidence names what made it."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from spice import __version__


@cache
def code_version() -> str:
    """The package's version and a digest of its source files, `0.1.0+3f2a...` (12 hex digits)."""
    root = Path(__file__).parent
    summed = hashlib.sha256()
    for file in sorted(path for path in root.rglob("*") if path.suffix in {".py", ".rego", ".yaml"}):
        summed.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return f"{__version__}+{summed.hexdigest()[:12]}"
