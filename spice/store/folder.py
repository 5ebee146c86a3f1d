"""A store in a folder, for one machine or a shared file system.

Every write goes to a temporary file on the same file system, is flushed to the
disk, and then takes its name in one step; so a reader, a crash or a full disk
never sees half an object. `create` takes the name with a hard link, which
fails if the name exists; `swap` compares and renames under a lock.
"""

from __future__ import annotations

import fcntl
import io
import os
import shutil
import stat
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO

from spice.errors import ConflictError, NotFoundError, StoreError
from spice.store.base import ObjectInfo
from spice.store.canonical import digest
from spice.store.disk import ABSENT, explained, make_folder, prune, publish, write_flushed
from spice.store.keys import RESERVED, check_key, check_prefix

_TEMPORARY = f"{RESERVED}/tmp"


class FolderStore:
    """Objects are files below `root`; the first write makes the folder."""

    def __init__(self, root: Path) -> None:
        self.root = root.expanduser().absolute()

    @property
    def url(self) -> str:
        """The folder's absolute path."""
        return str(self.root)

    def put(self, key: str, data: bytes) -> None:
        """Write `data` under `key`, atomically, replacing what is there."""
        path = self._path(key)
        with self._unfinished(key, lambda file: file.write(data)) as temporary:
            publish(path, lambda: temporary.replace(path))

    def put_file(self, key: str, path: Path) -> None:
        """Write the file at `path` under `key`, atomically, without holding it in memory."""
        target = self._path(key)
        with (
            _open_source(path) as source,
            self._unfinished(key, lambda file: shutil.copyfileobj(source, file)) as temporary,
        ):
            publish(target, lambda: temporary.replace(target))

    def get(self, key: str) -> bytes:
        """Read one object. Raises `NotFoundError`."""
        # Without buffers or `Path`: verifying a ledger reads a hundred thousand small objects.
        path = f"{self.root}/{check_key(key)}"
        with explained(f"{key} could not be read", self.root):
            try:
                with io.FileIO(path) as file:
                    return file.readall()
            except ABSENT as error:
                raise self._absent(key) from error

    def get_file(self, key: str, path: Path) -> None:
        """Read one object into a file, atomically. Raises `NotFoundError`."""
        temporary = path.with_name(f".{uuid.uuid4().hex}")
        with self._open(key) as source, explained(f"{key} could not be copied to {path}", path.parent):
            try:
                write_flushed(temporary, lambda file: shutil.copyfileobj(source, file))
                temporary.replace(path)
            finally:
                temporary.unlink(missing_ok=True)

    def head(self, key: str) -> ObjectInfo | None:
        """Describe one object, or `None` if there is none."""
        path = self._path(key)
        with explained(f"{key} could not be looked up", self.root):
            return _info(key, path)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Every object whose key begins with `prefix`, in order of key."""
        folder = check_prefix(prefix).rpartition("/")[0]
        with explained(f"{prefix or 'the store'} could not be listed", self.root):
            yield from _walk(self.root / folder, f"{folder}/" if folder else "", prefix)

    def delete(self, key: str) -> None:
        """Remove one object, and the folders that it leaves empty; removing what is not there is no error."""
        path = self._path(key)
        with explained(f"{key} could not be removed", self.root):
            try:
                path.unlink()
            except ABSENT:
                return
            prune(path.parent, self.root)

    def create(self, key: str, data: bytes) -> None:
        """Write an object that must not exist yet. Raises `ConflictError` if it does; one of many racers wins."""
        path = self._path(key)
        with self._unfinished(key, lambda file: file.write(data)) as temporary:
            try:
                publish(path, lambda: os.link(temporary, path))
            except FileExistsError as error:
                if not path.exists():
                    raise
                raise ConflictError(
                    f"{key} already exists in {self.url}; it is written once and never changed."
                ) from error

    def read(self, key: str) -> tuple[bytes, str] | None:
        """Read a pointer with the etag that `swap` wants (its SHA-256), or `None` if there is none."""
        try:
            data = self.get(key)
        except NotFoundError:
            return None
        return data, digest(data)

    def swap(self, key: str, data: bytes, expected: str | None) -> str:
        """Replace a pointer only if its etag is still `expected` (`None`: it must not exist).

        Returns the new etag. Raises `ConflictError` if another writer was first.
        """
        if expected is None:
            self.create(key, data)
            return digest(data)
        path = self._path(key)
        with self._unfinished(key, lambda file: file.write(data)) as temporary, self._lock():
            current = self.read(key)
            if current is None or current[1] != expected:
                raise ConflictError(f"{key} in {self.url} was changed by another writer; read it again, then decide.")
            publish(path, lambda: temporary.replace(path))
        return digest(data)

    def leftovers(self) -> Iterator[ObjectInfo]:
        """Temporary files of writes that are under way or were killed. `remove_leftover` removes one."""
        with explained("unfinished writes could not be listed", self.root):
            yield from _walk(self.root / _TEMPORARY, f"{_TEMPORARY}/", "")

    def remove_leftover(self, key: str) -> None:
        """Remove one of `leftovers`."""
        with explained(f"{key} could not be removed", self.root):
            (self.root / _TEMPORARY / Path(key).name).unlink(missing_ok=True)

    def keeps_versions(self) -> bool:
        """A folder does not."""
        return False

    def refuses_deletion(self, key: str, until: datetime) -> bool:  # noqa: ARG002 - part of the door
        """A folder does not: its owner can delete any file."""
        return False

    def _path(self, key: str) -> Path:
        return self.root / check_key(key)

    @contextmanager
    def _unfinished(self, key: str, write: Callable[[IO[bytes]], object]) -> Iterator[Path]:
        """A flushed temporary file with what `write` puts into it; removed at the end unless renamed."""
        temporary = self.root / _TEMPORARY / uuid.uuid4().hex
        with explained(f"{key} could not be written", self.root):
            make_folder(temporary.parent)
            try:
                write_flushed(temporary, write)
                yield temporary
            finally:
                temporary.unlink(missing_ok=True)

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """Keep other swappers out, threads and processes alike; the system lets go if the holder dies."""
        with (self.root / RESERVED / "lock").open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    @contextmanager
    def _open(self, key: str) -> Iterator[IO[bytes]]:
        path = self._path(key)
        with explained(f"{key} could not be read", self.root):
            try:
                file = path.open("rb")
            except ABSENT as error:
                raise self._absent(key) from error
        with file:
            yield file

    def _absent(self, key: str) -> NotFoundError:
        return NotFoundError(f"{key} is not in the store {self.url}.")


@contextmanager
def _open_source(path: Path) -> Iterator[IO[bytes]]:
    try:
        file = path.open("rb")
    except OSError as error:
        raise StoreError(f"{path} cannot be read to be stored: {error.strerror}.") from error
    with file:
        yield file


def _walk(folder: Path, key: str, prefix: str) -> Iterator[ObjectInfo]:
    """Files below `folder`, whose own key is `key`, in the order of whole keys: `a-b` stands before `a/b`."""
    try:
        with os.scandir(folder) as found:
            entries = {entry.name + "/" if entry.is_dir() else entry.name: entry for entry in found}
    except ABSENT:
        return
    for name in sorted(entries):
        if not (key + name).startswith(prefix) or name == f"{RESERVED}/":
            continue
        if name.endswith("/"):
            yield from _walk(folder / name, key + name, "")
        elif info := _info(key + name, entries[name]):
            yield info


def _info(key: str, path: Path | os.DirEntry[str]) -> ObjectInfo | None:
    try:
        status = path.stat()
    except ABSENT:
        return None
    return ObjectInfo(key, status.st_size, status.st_mtime) if stat.S_ISREG(status.st_mode) else None
