"""Reading ledger entries: everything about one that does not depend on the others, done ahead and in parallel.

Reading and checking a signature release Python's lock, so threads hide the
store's delay and share the cores. What depends on the order - the chain, which
key was in force - is left to `spice.trust.ledger`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from spice.errors import NotFoundError, RefusedError
from spice.store.base import ObjectStore
from spice.store.canonical import digest
from spice.trust.keyring import Keyring
from spice.trust.signing import Hex64, Hex128, media_type

PREFIX = "ledger/"
KIND = "ledger-entry"

_TYPE = media_type(KIND)
_CHUNK = 64  # entries per job
_THREADS = 4  # more of them wait for Python's lock for longer than they save in waiting for the store
_JOBS_AHEAD = 16


class Entry(BaseModel):
    """One line of the ledger."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sequence: int = Field(ge=0)
    previous: Hex64 = Field(description="SHA-256 of the bytes of the entry before")
    time: str = Field(
        pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$",
        description="ISO 8601, UTC; the clock of the actor's machine",
    )
    actor: str = Field(description="name of the key that signed")
    action: str
    subject: str = Field(description="what it was done to: a reference, a name, or empty")
    body: dict[str, Any] = Field(description="more about it; `on_behalf_of` names the person for whom a service acted")
    signature: Hex128

    @property
    def person(self) -> str:
        """Who acted: the person for whom a service signed, or the owner of the key."""
        principal = self.body.get("on_behalf_of")
        return str(principal["name"]) if isinstance(principal, dict) and "name" in principal else self.actor


class Reading(NamedTuple):
    """What was found under an entry's key.

    Attributes:
        entry: the entry, `None` if there is none or it is none.
        digest: SHA-256 of its bytes.
        signed_with: public half of the key of the actor that signed it; `None` if it bears no such signature.
        problem: what is wrong with it, or "".
        missing: nothing lies there.
    """

    entry: Entry | None
    digest: str = ""
    signed_with: str | None = None
    problem: str = ""
    missing: bool = False


def read(store: ObjectStore, keyring: Keyring, sequence: int) -> Reading:
    """The entry `sequence`, checked by itself. Raises `StoreError` if the store fails."""
    try:
        data = store.get(key_of(sequence))
    except NotFoundError:
        return Reading(None, missing=True)
    return _checked(keyring, data)


def read_ahead(store: ObjectStore, keyring: Keyring, first: int, end: int) -> Iterator[Reading]:
    """The entries from `first` to `end`, exclusive, in order, read in advance by several threads."""
    starts = iter(range(first, end, _CHUNK))

    def chunk(start: int) -> list[Reading]:
        return [read(store, keyring, number) for number in range(start, min(start + _CHUNK, end))]

    with ThreadPoolExecutor(_THREADS) as pool:
        jobs: deque[Future[list[Reading]]] = deque()
        try:
            while True:
                while len(jobs) < _JOBS_AHEAD and (start := next(starts, None)) is not None:
                    jobs.append(pool.submit(chunk, start))
                if not jobs:
                    return
                yield from jobs.popleft().result()
        finally:
            for job in jobs:
                job.cancel()


def key_of(sequence: int) -> str:
    """The key of an entry."""
    return f"{PREFIX}{sequence:012d}.json"


def _checked(keyring: Keyring, data: bytes) -> Reading:
    try:
        entry = Entry.model_validate_json(data)
    except ValidationError:
        return Reading(None, problem="was changed: it is not a ledger entry")
    before, _, after = data.rpartition(b'"signature":"%b",' % entry.signature.encode())
    if not after.startswith(b'"subject":'):
        return Reading(entry, problem="was changed: its bytes are not those that were written")
    # The signature covers every byte but its own field, and there is one place for that and one way to spell it. So
    # whatever is changed shows, without writing the entry anew to compare it.
    try:
        signed_with = keyring.made_by(entry.actor, _TYPE, before + after, entry.signature)
    except RefusedError as error:
        return Reading(entry, problem=f"is signed by a key that does not count. {str(error).rstrip('.')}")
    problem = "" if signed_with else f"was changed or forged: it does not bear the signature of {entry.actor}"
    return Reading(entry, digest(data), signed_with, problem)
