"""Content-addressed artifacts: files under a manifest whose digest is their name.

A reference is a string, `<kind>/<digest>` or `<kind>/<name>/<digest>`. Files are
written before the manifest and the manifest before any tag, so a crash leaves
garbage at worst and never a broken reference. Every read checks the digests:
the reference vouches for the manifest, the manifest for its files.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from spice.errors import IntegrityError, NotFoundError, StoreError
from spice.store.base import ObjectStore
from spice.store.canonical import JSON, digest, dumps, file_digest
from spice.store.disk import explained
from spice.store.keys import check_key
from spice.store.refs import MANIFEST, digest_of, resolve, tag

__all__ = [
    "MANIFEST",
    "describe",
    "download",
    "fetch",
    "files",
    "manifest",
    "put_files",
    "read",
    "read_json",
    "resolve",
    "seal",
    "tag",
    "write",
    "write_json",
]


class FileEntry(BaseModel):
    """What a manifest says of one file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    size: int = Field(ge=0)


_ENTRIES = TypeAdapter(dict[str, FileEntry])
_OBJECT = TypeAdapter(dict[str, Any])


def write(store: ObjectStore, kind_prefix: str, files: Mapping[str, bytes | Path], fields: Mapping[str, JSON]) -> str:
    """Store `files` and a manifest with `fields`, and return the reference `<kind_prefix>/<digest>`.

    The same files and fields give the same reference; writing them again is
    harmless and repairs what was damaged. Fields must therefore hold no clock
    time and nothing random.

    Raises:
        ValueError: a field is called "files", or a file "manifest.json".
        StoreError: the store cannot be written.
    """
    ref, data = seal(kind_prefix, describe(files), fields)
    put_files(store, ref, files)
    store.put(f"{ref}/{MANIFEST}", data)
    return ref


def describe(files: Mapping[str, bytes | Path]) -> dict[str, JSON]:
    """What a manifest says of files. Raises `StoreError` if one cannot be read, or has no name for a key."""
    return {check_key(name): _entry(content) for name, content in files.items()}


def seal(kind_prefix: str, described: Mapping[str, JSON], fields: Mapping[str, JSON]) -> tuple[str, bytes]:
    """The reference of an artifact, and its manifest, which is to be written after all its files.

    For processes that write the files of one artifact together; `write` does it all for one.

    Args:
        kind_prefix: what the reference begins with.
        described: all the artifact's files, as `describe` describes them.
        fields: of the manifest; no clock time and nothing random.

    Raises:
        ValueError: a field is called "files", or a file "manifest.json".
    """
    if "files" in fields or MANIFEST in described:
        raise ValueError(f'"files" and "{MANIFEST}" are names of the manifest itself')
    data = dumps({**fields, "files": dict(described)})
    return f"{kind_prefix}/{digest(data)}", data


def put_files(store: ObjectStore, ref: str, files: Mapping[str, bytes | Path]) -> None:
    """Write files of the artifact `ref`. Raises `StoreError`."""
    for name, content in files.items():
        if isinstance(content, Path):
            store.put_file(f"{ref}/{name}", content)
        else:
            store.put(f"{ref}/{name}", content)


def manifest(store: ObjectStore, ref: str) -> dict[str, Any]:
    """The manifest of `ref`: the fields it was written with, and `files`.

    Raises:
        NotFoundError: there is no such artifact.
        IntegrityError: its bytes are not those that the reference names.
    """
    return _verified_object(store, f"{ref}/{MANIFEST}", digest_of(ref))


def files(store: ObjectStore, ref: str) -> dict[str, FileEntry]:
    """The files of an artifact by name, from its verified manifest. Raises as `manifest` does."""
    key = f"{ref}/{MANIFEST}"
    try:
        entries = _ENTRIES.validate_python(manifest(store, ref).get("files"))
        return {check_key(name): entry for name, entry in entries.items()}
    except (ValidationError, StoreError) as error:
        if isinstance(error, NotFoundError | IntegrityError):
            raise
        raise IntegrityError(f"{key} in {store.url} is not a manifest that this program wrote: {error}") from error


def read(store: ObjectStore, ref: str, name: str) -> bytes:
    """One file of an artifact, verified.

    Raises:
        NotFoundError: there is no such artifact, or no such file in it.
        IntegrityError: the file is gone, or its bytes are not those that the manifest names.
    """
    entries = files(store, ref)
    if name not in entries:
        raise _unlisted(ref, name, entries)
    key = f"{ref}/{name}"
    try:
        data = store.get(key)
    except NotFoundError as error:
        raise _missing(store, key) from error
    if digest(data) != entries[name].sha256:
        raise _damaged(store, key)
    return data


def fetch(store: ObjectStore, ref: str, name: str, path: Path) -> Path:
    """One file of an artifact as a local file, verified, for what may be longer than memory. Raises as `read` does."""
    entries = files(store, ref)
    if name not in entries:
        raise _unlisted(ref, name, entries)
    _fetch(store, f"{ref}/{name}", entries[name], path)
    return path


def download(store: ObjectStore, ref: str, folder: Path) -> Path:
    """All files of an artifact in `folder`, verified; the folder appears at once or not at all.

    A folder that already holds exactly these files is returned as it is.

    Raises:
        NotFoundError: there is no such artifact.
        IntegrityError: a file is gone or damaged.
        StoreError: `folder` holds something else, or cannot be written.
    """
    entries = files(store, ref)
    problem = f"{ref} could not be copied to {folder}"
    with explained(problem, folder.parent):
        if folder.is_dir() and any(folder.iterdir()):
            return _reuse(folder, entries, problem)
        folder.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
        try:
            for name, entry in entries.items():
                _fetch(store, f"{ref}/{name}", entry, unfinished / name)
            unfinished.chmod(0o755)
            try:
                return unfinished.rename(folder)
            except OSError:
                if not folder.is_dir():
                    raise
                return _reuse(folder, entries, problem)  # another process downloaded the same meanwhile
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)


def write_json(store: ObjectStore, prefix: str, obj: Mapping[str, JSON]) -> str:
    """Store one JSON object as `<prefix>/<digest>.json` and return the reference `<prefix>/<digest>`."""
    data = dumps(obj)
    ref = f"{prefix}/{digest(data)}"
    store.put(f"{ref}.json", data)
    return ref


def read_json(store: ObjectStore, ref: str) -> dict[str, Any]:
    """The JSON object that `write_json` stored.

    Raises:
        NotFoundError: there is none.
        IntegrityError: its bytes are not those that the reference names.
    """
    return _verified_object(store, f"{ref}.json", digest_of(ref))


def _entry(content: bytes | Path) -> dict[str, JSON]:
    if isinstance(content, Path):
        with explained(f"{content} cannot be read to be stored", content.parent):
            return {"sha256": file_digest(content), "size": content.stat().st_size}
    return {"sha256": digest(content), "size": len(content)}


def _verified_object(store: ObjectStore, key: str, expected: str) -> dict[str, Any]:
    data = store.get(key)
    if digest(data) != expected:
        raise _damaged(store, key)
    try:
        return _OBJECT.validate_python(json.loads(data))
    except (ValueError, ValidationError) as error:
        raise IntegrityError(f"{key} in {store.url} is not a JSON object: {error}") from error


def _fetch(store: ObjectStore, key: str, entry: FileEntry, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        store.get_file(key, path)
    except NotFoundError as error:
        raise _missing(store, key) from error
    if file_digest(path) != entry.sha256:
        raise _damaged(store, key)


def _reuse(folder: Path, entries: Mapping[str, FileEntry], problem: str) -> Path:
    present = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    expected = {name: entry.sha256 for name, entry in entries.items()}
    if present.keys() != expected.keys() or {name: file_digest(path) for name, path in present.items()} != expected:
        raise StoreError(f"{problem}: the folder exists and holds something else. Remove it or name another.")
    return folder


def _unlisted(ref: str, name: str, entries: Mapping[str, FileEntry]) -> NotFoundError:
    return NotFoundError(f"{ref} has no file {name}; it has {', '.join(sorted(entries)) or 'none'}.")


def _missing(store: ObjectStore, key: str) -> IntegrityError:
    return IntegrityError(f"{key} is gone from {store.url} although its manifest lists it. {_REPAIR}")


def _damaged(store: ObjectStore, key: str) -> IntegrityError:
    return IntegrityError(
        f"{key} in {store.url} was changed after it was written: its SHA-256 is not the recorded one. {_REPAIR}"
    )


_REPAIR = "Nothing of it was used. Restore it from a backup, or make it again from its source."
