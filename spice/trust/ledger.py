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

from spice.errors import ConflictError, IntegrityError, RefusedError, StoreError
from spice.store.base import ObjectStore
from spice.store.canonical import dumps
from spice.trust.keyring import Keyring
from spice.trust.reading import KIND, PREFIX, Entry, Reading, key_of, read, read_ahead
from spice.trust.signing import Signer

__all__ = ["GENESIS", "PREFIX", "Clock", "Draft", "Entry", "Ledger", "key_of", "timestamp", "utc_now"]

GENESIS = "0" * 64  # what the first entry names as the hash of the one before
_ABOUT_KEYS = ("keys.add", "keys.rotate", "keys.revoke")
_FEW = 64  # entries that are not worth starting threads for

Clock = Callable[[], datetime]


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
        keyring: whose signatures count. From now on it says what the entries read so far say of keys.
        observe: is given every entry once, in order, after it has been verified.
    """

    def __init__(self, store: ObjectStore, keyring: Keyring, observe: Callable[[Entry], None]) -> None:
        self.hashes: list[str] = []  # of the entries read so far; the last is the head
        self._store = store
        self._keyring = keyring
        self._observe = observe
        keyring.follow()

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
        first = len(self.hashes)
        expected = first or self._listed()
        if expected - first > _FEW:
            for reading in read_ahead(self._store, self._keyring, first, expected):
                self._admit(reading)
        while True:
            reading = read(self._store, self._keyring, len(self.hashes))
            if reading.missing and len(self.hashes) >= expected:
                return
            self._admit(reading)

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
        while True:
            self.catch_up()
            self._keyring.require(signer)
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
        person = {"on_behalf_of": signer.principal.model_dump(mode="json")} if signer.principal else {}
        content: dict[str, Any] = {
            "sequence": len(self.hashes),
            "previous": self.head,
            "time": timestamp(now),
            "actor": signer.name,
            "action": draft.action,
            "subject": draft.subject,
            "body": {**draft.body, **person},
        }
        return Entry(**content, signature=signer.sign(KIND, content))

    def _admit(self, reading: Reading) -> None:
        """Take in the next entry, if it is that: unchanged, in its place, and signed with the key then in force."""
        sequence, entry = len(self.hashes), reading.entry
        if reading.missing:
            raise self._broken(sequence, "is missing, although later entries are there")
        if entry is not None and entry.sequence != sequence:
            raise self._broken(sequence, f"was moved or inserted: it was written as entry {entry.sequence}")
        if entry is None or reading.problem:
            raise self._broken(sequence, reading.problem)
        if entry.previous != self.head:
            raise self._broken(sequence, "does not follow the entry before it: one of the two was changed or inserted")
        try:
            self._check_key(entry, reading.signed_with)
            self._observe(entry)
            if entry.action in _ABOUT_KEYS:
                self._keyring.observe(entry.action, entry.subject, entry.body, sequence)
        except (RefusedError, KeyError, TypeError, ValueError) as error:
            raise self._broken(sequence, f"is signed by a key that does not count. {str(error).rstrip('.')}") from error
        self.hashes.append(reading.digest)

    def _check_key(self, entry: Entry, signed_with: str | None) -> None:
        """Make sure that the key was in force, and that its owner may say what they say of keys."""
        key = self._keyring.at_head(entry.actor)
        if key.public_key != signed_with:
            raise RefusedError(f"{entry.actor} had another key then.")
        own = entry.actor == entry.subject and entry.action != "keys.add"
        if entry.action in _ABOUT_KEYS and not own and "admin" not in key.roles:
            raise RefusedError(f"{entry.actor} lacks the role admin, which {entry.action} takes.")

    def _broken(self, sequence: int, problem: str) -> IntegrityError:
        return IntegrityError(
            f"Ledger entry {sequence} in {self._store.url} {problem}. Nothing is released until the ledger is restored "
            "(see `spice ledger verify`)."
        )


def timestamp(moment: datetime) -> str:
    """ISO 8601 in UTC, to the millisecond."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def utc_now() -> datetime:
    """The clock of this machine."""
    return datetime.now(UTC)
