"""References to artifacts, and the shorter names that people type for them."""

from __future__ import annotations

import re

from spice.errors import ConflictError, IntegrityError, NotFoundError, StoreError
from spice.store.base import ObjectStore
from spice.store.canonical import is_digest

MANIFEST = "manifest.json"
LATEST = "latest"

_ABBREVIATED = re.compile(r"[0-9a-f]{4,64}")
_TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def digest_of(ref: str) -> str:
    """The digest that ends a whole reference. Raises `StoreError` if `ref` is not one."""
    prefix, _, digest = ref.rpartition("/")
    if not prefix or not is_digest(digest):
        raise StoreError(f"{ref!r} is not a reference: expected <kind>/<64 hexadecimal digits>.")
    return digest


def tag(store: ObjectStore, prefix: str, tag: str, digest: str) -> None:
    """Let `<prefix>@<tag>` mean `<prefix>/<digest>` from now on. The last writer wins.

    Raises:
        StoreError: the tag is not a plain name.
        NotFoundError: there is no artifact of that digest, so the tag would point at nothing.
    """
    if not _TAG.fullmatch(tag):
        raise StoreError(f"{tag!r} cannot be a tag: use letters, digits, '.', '_' and '-', at most 128.")
    if not _exists(store, f"{prefix}/{digest}"):
        raise NotFoundError(f"{prefix}/{digest} is not in the store {store.url}, so it cannot be tagged {tag}.")
    key = _tag_key(prefix, tag)
    while True:
        current = store.read(key)
        try:
            store.swap(key, digest.encode(), current[1] if current else None)
        except ConflictError:
            continue
        return


def resolve(store: ObjectStore, name: str) -> str:
    """The whole reference that `name` stands for.

    Args:
        store: where to look.
        name: `datasets/<name>` (its tag "latest"), `datasets/<name>@<tag>`, a whole
            reference, or one whose digest is cut to at least 4 digits, if only one fits.

    Raises:
        NotFoundError: nothing fits, or more than one does.
        IntegrityError: a tag does not hold the digest of an artifact.
    """
    prefix, at, tag_name = name.partition("@")
    if at:
        return _tagged(store, prefix, tag_name)
    parent, _, last = name.rpartition("/")
    if parent and is_digest(last) and _exists(store, name):
        return name
    if parent and _ABBREVIATED.fullmatch(last):
        found = sorted(set(_versions(store, parent, last)))
        if len(found) == 1:
            return found[0]
        if found:
            raise NotFoundError(f"{name} could be any of {', '.join(found)}; give more digits.")
    return _tagged(store, name, LATEST)


def _tagged(store: ObjectStore, prefix: str, tag: str) -> str:
    key = _tag_key(prefix, tag)
    pointer = store.read(key)
    if pointer is None:
        raise NotFoundError(f"{prefix}@{tag} is not in the store {store.url}. {_alternatives(store, prefix)}")
    ref = f"{prefix}/{pointer[0].decode('ascii', 'replace')}"
    if not is_digest(ref.rpartition("/")[2]) or not _exists(store, ref):
        raise IntegrityError(f"{key} in {store.url} points to {ref!r}, which is not there. Set the tag again.")
    return ref


def _alternatives(store: ObjectStore, prefix: str) -> str:
    tags = [info.key.rpartition("/")[2] for info in store.list(_tag_key(prefix, ""))]
    if tags:
        return f"Tags there: {', '.join(tags)}."
    kind = prefix.partition("/")[0]
    names = sorted({info.key.rpartition("/tags/")[0] for info in store.list(f"{kind}/") if "/tags/" in info.key})
    return f"There are: {', '.join(names)}." if names else f"There are no named {kind} in it yet."


def _tag_key(prefix: str, tag: str) -> str:
    return f"{prefix}/tags/{tag}"


def _exists(store: ObjectStore, ref: str) -> bool:
    return store.head(f"{ref}/{MANIFEST}") is not None or store.head(f"{ref}.json") is not None


def _versions(store: ObjectStore, parent: str, start: str) -> list[str]:
    """References below `parent` whose digest begins with `start`."""
    found = []
    for info in store.list(f"{parent}/{start}"):
        version, slash, name = info.key[len(parent) + 1 :].partition("/")
        digest = version if slash else version.removesuffix(".json")
        if is_digest(digest) and (name == MANIFEST or not slash):
            found.append(f"{parent}/{digest}")
    return found
