"""`switch.json`: the flag that stops everything, before and beside the ledger.

Engaging sets this flag first, with one compare-and-swap, so that the switch
works even where the ledger is slow or broken; the ledger entry follows. It is
cleared only after two operators' entries are in the ledger. A flag that cannot
be read counts as engaged.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from spice.errors import ConflictError
from spice.store.base import ObjectStore
from spice.store.canonical import dumps

KEY = "switch.json"


class Flag(BaseModel):
    """The switch's state as any reader sees it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    engaged: bool
    engagement: int | None = Field(description="number of the engagement; none if the ledger could not be read then")
    by: str
    reason: str
    time: str


@dataclass(frozen=True)
class Found:
    """What lies under `switch.json`: nothing, a flag, or something unreadable (`flag` is none, `etag` is not)."""

    flag: Flag | None
    etag: str | None

    @property
    def engaged(self) -> bool:
        """Whether the flag says stop; unreadable says stop."""
        return self.flag.engaged if self.flag else self.etag is not None


def read(store: ObjectStore) -> Found:
    """The flag. Raises `StoreError` if the store fails."""
    found = store.read(KEY)
    if found is None:
        return Found(None, None)
    try:
        return Found(Flag.model_validate_json(found[0]), found[1])
    except ValidationError:
        return Found(None, found[1])


def write(store: ObjectStore, flag: Flag, expected: str | None) -> bool:
    """Write the flag if nobody changed it since; returns whether it was written."""
    try:
        store.swap(KEY, dumps(flag.model_dump()), expected)
    except ConflictError:
        return False
    return True
