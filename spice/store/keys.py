"""Which keys a store accepts: the same on every back end, so that a store can be copied between them."""

from __future__ import annotations

from spice.errors import StoreError

RESERVED = ".spice"  # the folder back end keeps its lock and its unfinished writes there
MAX_KEY_BYTES = 900  # S3 allows 1024, of which a store's prefix needs some
MAX_SEGMENT_BYTES = 255  # what file systems allow for one name


def check_key(key: str) -> str:
    """Return `key` if it is a relative POSIX path that stays inside the store.

    Raises:
        StoreError: it is not.
    """
    segments = key.split("/")
    if not key:
        problem = "it is empty"
    elif any(segment in ("", ".", "..") for segment in segments):
        problem = "a part of it is empty, '.' or '..'"
    elif segments[0] == RESERVED:
        problem = f"{RESERVED}/ is the store's own"
    elif "\\" in key or not key.isprintable():
        problem = "it holds a backslash or an unprintable character"
    elif len(key.encode()) > MAX_KEY_BYTES or any(len(s.encode()) > MAX_SEGMENT_BYTES for s in segments):
        problem = f"it is longer than {MAX_KEY_BYTES} bytes, or a part of it longer than {MAX_SEGMENT_BYTES}"
    else:
        return key
    raise StoreError(
        f"{key!r} cannot be the name of an object: {problem}. Use a relative path such as runs/first/run.json."
    )


def check_prefix(prefix: str) -> str:
    """Return `prefix` if keys can begin with it: the beginning of a key, or nothing.

    Raises:
        StoreError: they cannot.
    """
    if prefix:
        check_key(prefix.removesuffix("/"))
    return prefix
