"""Writing to a file system so that a crash or a full disk never leaves half a file under a final name."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from spice.errors import StoreError

ABSENT = (FileNotFoundError, NotADirectoryError, IsADirectoryError)

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)
_RACES = 100


@contextmanager
def explained(problem: str, folder: Path) -> Iterator[None]:
    """Turn an `OSError` into a `StoreError` that says what to do; `problem` is its beginning."""
    try:
        yield
    except OSError as error:
        raise StoreError(f"{problem}: {_advice(error, folder)}") from error


def write_flushed(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Make the new file `path` with what `write` puts into it, on the disk when this returns."""
    with path.open("xb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())


def publish(path: Path, take_name: Callable[[], object]) -> None:
    """Make the folder of `path`, call `take_name`, and flush the folder so that the name outlives a power cut.

    A concurrent `delete` may remove the folder while it is empty, hence the repetition.
    """
    for _ in range(_RACES):
        make_folder(path.parent)
        try:
            take_name()
        except FileNotFoundError:
            continue
        _flush_folder(path.parent)
        return
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path.parent))


def make_folder(path: Path) -> None:
    """Make `path` and its parents, flushing the name of each new one."""
    if path.is_dir():
        return
    make_folder(path.parent)
    try:
        path.mkdir()
    except FileExistsError:
        try:
            found = path.lstat()
        except FileNotFoundError:  # a concurrent writer made it, and a concurrent delete took it again
            make_folder(path)
            return
        if not stat.S_ISDIR(found.st_mode) and not path.is_dir():
            raise
    except FileNotFoundError:  # a concurrent delete took the parent
        make_folder(path)
    _flush_folder(path.parent)


def prune(folder: Path, root: Path) -> None:
    """Remove `folder` and those of its parents below `root` that are empty."""
    while folder != root:
        try:
            folder.rmdir()
        except FileNotFoundError:
            pass
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                return
            raise
        folder = folder.parent


def _flush_folder(path: Path) -> None:
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:  # a concurrent delete emptied and took it
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _advice(error: OSError, folder: Path) -> str:
    reason = error.strerror or str(error)
    elsewhere = "or name another place with store.url"
    if error.errno in _FULL:
        return (
            f"no room left in {folder} ({reason}). Nothing was half written. "
            f"Make room (`spice gc` lists what nothing refers to) {elsewhere}, then run again."
        )
    if error.errno in _READ_ONLY:
        return f"{folder} is closed to this user ({reason}). Change its permissions or mount, {elsewhere}."
    if isinstance(error, FileExistsError | NotADirectoryError):
        return f"a file, {error.filename}, stands where a folder is needed. Remove it, {elsewhere}."
    return f"{reason} ({error.filename or folder})."
