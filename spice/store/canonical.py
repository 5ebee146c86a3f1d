"""One way to write JSON, so that equal content has equal bytes and therefore an equal digest."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

JSON: TypeAlias = "bool | int | float | str | Sequence[JSON] | Mapping[str, JSON] | None"

DIGEST = re.compile(r"[0-9a-f]{64}")

_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def dumps(value: JSON) -> bytes:
    """Encode `value` with sorted keys, no spaces, in UTF-8.

    Raises:
        ValueError: `value` holds NaN or an infinity, which JSON has no word for.
    """
    return _ENCODER.encode(value).encode()


def digest(data: bytes) -> str:
    """SHA-256 of `data`, as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of the file at `path`, without holding it in memory."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_digest(text: str) -> bool:
    """Whether `text` is a whole digest: 64 lower-case hexadecimal digits."""
    return DIGEST.fullmatch(text) is not None
