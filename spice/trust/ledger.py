"""The append-only ledger: who did what, when, each entry chained to the one before and signed.

An entry is an object `ledger/<sequence>.json` that is created once; two writers
who want the same number are told apart by the store, and the loser reads what
the winner wrote and decides again. So every decision is taken on the complete
history before it, and the ledger is the one total order of all that happened.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from spice.errors import ConflictError, IntegrityError, NotFoundError, RefusedError, StoreError
from spice.store.base import ObjectStore
from spice.store.canonical import digest, dumps
from spice.trust.keyring import Keyring
from spice.trust.signing import Hex64, Hex128, Signer

PREFIX = "ledger/"
GENESIS = "0" * 64  # what the first entry names as the hash of the one before
_KIND = "ledger-entry"

Clock = Callable[[], datetime]


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
    body: dict[str, Any]
    signature: Hex128


@dataclass(frozen=True)
class Draft:
    """What an actor wants to enter."""

    action: str
    subject: str
    body: dict[str, Any] = field(default_factory=dict)


class Ledger:
    """The ledger of a store, as far as it has been read.

    Args:
        store: where it lies.
        keyring: whose signatures count.
        observe: is given every entry once, in order, after it has been verified.
    """

    def __init__(self, store: ObjectStore, keyring: Keyring, observe: Callable[[Entry], None]) -> None:
        self.hashes: list[str] = []  # of the entries read so far; the last is the head
        self._store = store
        self._keyring = keyring
        self._observe = observe

    @property
    def head(self) -> str:
        """Hash of the last entry read, or `GENESIS`."""
        return self.hashes[-1] if self.hashes else GENESIS

    def catch_up(self) -> None:
        """Read, verify and observe every entry not yet read.

        Raises:
            IntegrityError: an entry was changed, removed, moved or inserted; the message names it.
            StoreError: the ledger cannot be read.
        """
        expected = len(self.hashes) if self.hashes else self._listed()
        while True:
            sequence = len(self.hashes)
            try:
                data = self._store.get(key_of(sequence))
            except NotFoundError as error:
                if sequence < expected:
                    raise self._broken(sequence, "is missing, although later entries are there") from error
                return
            entry = self._verified(sequence, data)
            self._observe(entry)
            self.hashes.append(digest(data))

    def append(self, signer: Signer, clock: Clock, decide: Callable[[], Draft | None]) -> Entry | None:
        """Enter what `decide` wants, once everything entered before it has been observed.

        `decide` is called again whenever another writer was first, and sees
        what that writer entered. It returns `None` to enter nothing, and may
        raise.

        Raises:
            RefusedError: the signer's key is not registered.
            IntegrityError: the ledger is broken; nothing is entered.
            StoreError: the store failed. The entry may or may not be there: read before trying again.
        """
        self._keyring.require(signer)
        while True:
            self.catch_up()
            draft = decide()
            if draft is None:
                return None
            sequence = len(self.hashes)
            entry = self._signed(signer, clock(), draft)
            data = dumps(entry.model_dump())
            try:
                self._store.create(key_of(sequence), data)
            except ConflictError as error:
                # A lost reply makes the store client try again and meet its own first write.
                found = self._store.read(key_of(sequence))
                if found is None:
                    raise StoreError(
                        f"{self._store.url} says that {key_of(sequence)} exists and that it does not. "
                        "Run `spice doctor` to see whether it can create objects exactly once."
                    ) from error
                if found[0] != data:
                    continue
            self.catch_up()
            return entry

    def _listed(self) -> int:
        """How many entries the listing promises: one more than the last sequence."""
        count = 0
        for info in self._store.list(PREFIX):
            number = info.key.removeprefix(PREFIX).removesuffix(".json")
            if not (number.isascii() and number.isdigit()) or info.key != key_of(int(number)):
                raise IntegrityError(f"{info.key} in {self._store.url} is no ledger entry; someone put it there.")
            count = int(number) + 1
        return count

    def _signed(self, signer: Signer, now: datetime, draft: Draft) -> Entry:
        content: dict[str, Any] = {
            "sequence": len(self.hashes),
            "previous": self.head,
            "time": timestamp(now),
            "actor": signer.name,
            "action": draft.action,
            "subject": draft.subject,
            "body": draft.body,
        }
        return Entry(**content, signature=signer.sign(_KIND, content))

    def _verified(self, sequence: int, data: bytes) -> Entry:
        try:
            entry = Entry.model_validate_json(data)
        except ValidationError as error:
            raise self._broken(sequence, "was changed: it is not a ledger entry") from error
        content = entry.model_dump()
        if dumps(content) != data:
            raise self._broken(sequence, "was changed: its bytes are not those that were written")
        if entry.sequence != sequence:
            raise self._broken(sequence, f"was moved or inserted: it was written as entry {entry.sequence}")
        if entry.previous != self.head:
            raise self._broken(sequence, "does not follow the entry before it: one of the two was changed or inserted")
        signature = content.pop("signature")
        try:
            valid = self._keyring.verify(entry.actor, _KIND, content, signature)
        except RefusedError as error:
            raise self._broken(sequence, f"is signed by a key that does not count. {error}") from error
        if not valid:
            raise self._broken(sequence, f"was changed or forged: it does not bear the signature of {entry.actor}")
        return entry

    def _broken(self, sequence: int, problem: str) -> IntegrityError:
        return IntegrityError(
            f"Ledger entry {sequence} in {self._store.url} {problem}. Nothing is released until the ledger is restored "
            "(see `spice ledger verify`)."
        )


def key_of(sequence: int) -> str:
    """The key of an entry."""
    return f"{PREFIX}{sequence:012d}.json"


def timestamp(moment: datetime) -> str:
    """ISO 8601 in UTC, to the millisecond."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
