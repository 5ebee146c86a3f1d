"""What would be different if a candidate replaced what is live."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from spice.console.records import Change
from spice.console.words import short
from spice.errors import StoreError
from spice.store import artifacts
from spice.store.base import ObjectStore

_ORIGIN = (("Run", "run"), ("Iteration", "iteration"), ("Documents", "corpus"), ("Trained from", "base"))
_ABSENT = "none"
_IRRELEVANT = ("store.", "console.")  # where it was stored and shown changes nothing about the model
_TREE = TypeAdapter(dict[str, Any])


def changes(store: ObjectStore, live: str | None, candidate: str) -> tuple[Change, ...]:
    """Origin, code and settings in which `candidate` differs from `live`, one line each."""
    ours, theirs = _described(store, live), _described(store, candidate)
    names = [*ours, *(name for name in theirs if name not in ours)]
    found = [Change(name=name, live=ours.get(name, _ABSENT), asked=theirs.get(name, _ABSENT)) for name in names]
    return tuple(change for change in found if change.live != change.asked)


def _described(store: ObjectStore, ref: str | None) -> dict[str, str]:
    """A checkpoint's origin and its run's settings by name; what cannot be read is left out and shows as a change."""
    if ref is None:
        return {"Checkpoint": "nothing is live"}
    found = {"Checkpoint": short(ref)}
    try:
        manifest = artifacts.manifest(store, ref)
    except StoreError as error:
        return {**found, "Manifest": str(error)}
    found |= {name: short(str(manifest[key])) for name, key in _ORIGIN if manifest.get(key) is not None}
    found["Code"] = str(manifest.get("code") or _ABSENT)
    return found | _settings(store, str(manifest.get("run") or ""))


def _settings(store: ObjectStore, run: str) -> dict[str, str]:
    if not run:
        return {}
    try:
        tree = _TREE.validate_json(store.get(f"runs/{run}/config.json"))
    except (StoreError, ValidationError):
        return {"Settings of the run": "not readable"}
    return {name: str(value) for name, value in _leaves(tree) if not name.startswith(_IRRELEVANT)}


def _leaves(tree: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{path}{name}.")
        else:
            yield f"{path}{name}", value
