"""Find and remove what nothing refers to.

Roots are all objects that are no artifact of one of `KINDS` (runs, ledger,
requests, release pointer, switch, ...), and all tags. Any digest that one of
them mentions, in whatever field, keeps the artifact of that digest; a kept
artifact keeps what its manifest mentions; and an evaluation is kept as long as
its candidate. So a new kind of root needs no change here, and
an error in it can only keep too much. What is younger than the grace period
may belong to a run in progress and is never touched.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from spice.store import artifacts
from spice.store.base import ObjectInfo, ObjectStore
from spice.store.canonical import dumps
from spice.store.probe import SCRATCH
from spice.store.refs import MANIFEST, digest_of

KINDS = ("datasets", "checkpoints", "evaluations", "packs", "shards")
GRACE_SECONDS = 24 * 3600.0

_OBJECT = re.compile(rf"(?P<ref>(?:{'|'.join(KINDS)})/(?:[^/]+/)*?[0-9a-f]{{64}})(?:\.json|/.+)")
_MENTION = re.compile(rb"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")


@dataclass(frozen=True)
class Garbage:
    """Something that nothing refers to.

    Attributes:
        name: the reference of an artifact, or a single key.
        reason: why it can go.
        objects: what it consists of.
        unfinished: it is one of the store's `leftovers`, not among its objects.
    """

    name: str
    reason: str
    objects: tuple[ObjectInfo, ...]
    unfinished: bool = False

    @property
    def size(self) -> int:
        """Bytes of all its objects."""
        return sum(info.size for info in self.objects)


def find(
    store: ObjectStore, now: float, grace: float = GRACE_SECONDS, progress: Callable[[int], object] | None = None
) -> list[Garbage]:
    """What can go, in order of name.

    Args:
        store: the store to look through. Every root is read, so this takes a while on a large one.
        now: the present, in seconds since the epoch.
        grace: what is younger than this stays, in seconds.
        progress: told after each object how many have been looked at.

    Raises:
        IntegrityError: an artifact that is kept has a damaged manifest, so what it refers to is unknown.
    """
    groups, mentions = _survey(store, progress)
    live = _mark(store, groups, mentions)
    garbage = [
        Garbage(ref, "nothing refers to it" if _is_whole(ref, objects) else "its writing was never finished", objects)
        for ref, objects in groups.items()
        if ref not in live
    ]
    garbage += [Garbage(info.key, "left by a probe", (info,)) for info in store.list(f"{SCRATCH}/")]
    for info in store.leftovers():
        garbage.append(Garbage(info.key, "left by an unfinished write", (info,), unfinished=True))
    return sorted((each for each in garbage if _is_old(each.objects, now, grace)), key=lambda each: each.name)


def remove(store: ObjectStore, garbage: Garbage, now: float, grace: float = GRACE_SECONDS) -> bool:
    """Remove one of `find`'s findings; False if another writer has touched it since.

    The manifest goes first, so that a crash in between leaves garbage and not
    an artifact that looks whole.
    """
    if garbage.unfinished:
        store.remove_leftover(garbage.name)
        return True
    for info in sorted(garbage.objects, key=lambda info: not info.key.endswith(f"/{MANIFEST}")):
        current = store.head(info.key)
        if current is not None and not _is_old([current], now, grace):
            return False
        store.delete(info.key)
    return True


def _survey(
    store: ObjectStore, progress: Callable[[int], object] | None
) -> tuple[dict[str, tuple[ObjectInfo, ...]], set[str]]:
    """The objects of every artifact by reference, and every digest that a root mentions."""
    groups: dict[str, list[ObjectInfo]] = {}
    mentions: set[str] = set()
    for count, info in enumerate(store.list(""), 1):
        if match := _OBJECT.fullmatch(info.key):
            groups.setdefault(match["ref"], []).append(info)
        elif info.key.endswith(".json") or "/tags/" in info.key:
            mentions |= _mentioned(store.get(info.key))
        if progress:
            progress(count)
    return {ref: tuple(objects) for ref, objects in groups.items()}, mentions


def _mark(store: ObjectStore, groups: Mapping[str, Sequence[ObjectInfo]], mentions: set[str]) -> set[str]:
    """The references that must stay."""
    live: set[str] = set()
    while True:
        found = {ref for ref in groups if ref not in live and digest_of(ref) in mentions}
        found = found or {ref for ref in groups if ref not in live and _candidate(store, ref) in live}
        if not found:
            return live
        for ref in found:
            mentions |= _references(store, ref, groups[ref])
        live |= found


def _references(store: ObjectStore, ref: str, objects: Sequence[ObjectInfo]) -> set[str]:
    """The digests that a kept artifact mentions."""
    if not _is_whole(ref, objects):
        return set()
    content = artifacts.read_json(store, ref) if _is_evaluation(ref) else artifacts.manifest(store, ref)
    return _mentioned(dumps(content))


def _candidate(store: ObjectStore, ref: str) -> str | None:
    """The checkpoint that an evaluation is about."""
    if not _is_evaluation(ref):
        return None
    candidate = artifacts.read_json(store, ref).get("candidate")
    return candidate if isinstance(candidate, str) else None


def _mentioned(data: bytes) -> set[str]:
    return {found.decode() for found in _MENTION.findall(data)}


def _is_evaluation(ref: str) -> bool:
    return ref.startswith("evaluations/")


def _is_whole(ref: str, objects: Iterable[ObjectInfo]) -> bool:
    return any(info.key in (f"{ref}/{MANIFEST}", f"{ref}.json") for info in objects)


def _is_old(objects: Iterable[ObjectInfo], now: float, grace: float) -> bool:
    return all(now - info.modified > grace for info in objects)
