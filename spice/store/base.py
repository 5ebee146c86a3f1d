"""The door to the store: what every back end must do.

Keys are relative POSIX paths. Three kinds of write exist, and no other:
`put` for content whose key is derived from its digest (writing it again is
harmless), `create` for entries that exist once (ledger), and `swap` for the
few pointers that change (release, switch, tags).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class ObjectInfo:
    """What a listing says of one object. `modified` is seconds since the epoch."""

    key: str
    size: int
    modified: float


class ObjectStore(Protocol):
    """An object store with atomic writes. All methods raise `StoreError` when the back end fails."""

    @property
    def url(self) -> str:
        """Where the store is, without credentials: a folder's path or `s3://bucket/prefix`."""
        ...

    def put(self, key: str, data: bytes) -> None:
        """Write `data` under `key`, atomically, replacing what is there."""
        ...

    def put_file(self, key: str, path: Path) -> None:
        """Write the file at `path` under `key`, atomically, without holding it in memory."""
        ...

    def get(self, key: str) -> bytes:
        """Read one object. Raises `NotFoundError`."""
        ...

    def get_file(self, key: str, path: Path) -> None:
        """Read one object into a file, atomically. Raises `NotFoundError`."""
        ...

    def head(self, key: str) -> ObjectInfo | None:
        """Describe one object, or `None` if there is none."""
        ...

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Every object whose key begins with `prefix`, in order of key."""
        ...

    def delete(self, key: str) -> None:
        """Remove one object; removing what is not there is no error."""
        ...

    def create(self, key: str, data: bytes) -> None:
        """Write an object that must not exist yet. Raises `ConflictError` if it does; one of many racers wins."""
        ...

    def read(self, key: str) -> tuple[bytes, str] | None:
        """Read a pointer with the etag that `swap` wants, or `None` if there is none."""
        ...

    def swap(self, key: str, data: bytes, expected: str | None) -> str:
        """Replace a pointer only if its etag is still `expected` (`None`: it must not exist).

        Returns the new etag. Raises `ConflictError` if another writer was first.
        """
        ...

    def leftovers(self) -> Iterator[ObjectInfo]:
        """What unfinished writes hold, whether still under way or killed; not among the objects of `list`."""
        ...

    def remove_leftover(self, key: str) -> None:
        """Remove one of `leftovers`."""
        ...

    def keeps_versions(self) -> bool:
        """Whether an object that is replaced or deleted can be brought back."""
        ...

    def refuses_deletion(self, key: str, until: datetime) -> bool:
        """Write an object under `key`, locked until `until`, and try to delete it: whether that was refused."""
        ...
