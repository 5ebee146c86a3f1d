"""The release log: the verified ledger, what it adds up to, and the pointer derived from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from spice.errors import ConflictError, IntegrityError, RefusedError, SpiceError
from spice.promotion import state as states
from spice.promotion import switchflag
from spice.promotion.state import State
from spice.store.base import ObjectStore
from spice.store.canonical import dumps
from spice.trust.keyring import Keyring
from spice.trust.ledger import GENESIS, Clock, Draft, Entry, Ledger
from spice.trust.signing import Hex64, Signer

POINTER = "release.json"


class Pointer(BaseModel):
    """`release.json`: what is live, and the ledger entry that made it so."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    live: str | None
    previous: str | None
    sequence: int = Field(ge=-1)
    head: Hex64 = Field(description="hash of that entry")
    engagement: int | None = Field(description="the latest engagement of the switch that this takes into account")


class ReleaseLog:
    """The ledger of a store with its rules.

    Args:
        store: where.
        observe: is given every verified entry, in order.
        repairing: take a pointer that cannot be read for none. For whoever puts it right or tells what is wrong; to
            all others such a store says nothing, since only the pointer shows that the ledger's end is missing.

    Raises:
        IntegrityError: the ledger is not what was written, or was cut off, or that cannot be told; nothing can be
            decided on it.
        StoreError: the store cannot be read.
    """

    def __init__(
        self, store: ObjectStore, observe: Callable[[Entry], None] | None = None, *, repairing: bool = False
    ) -> None:
        self.store = store
        self._repairing = repairing
        self.keyring = Keyring(store)
        self.state = State()
        self.keyring.entered = self.state.entered
        self._observe = observe
        self._ledger = Ledger(store, self.keyring, self._apply)
        self.catch_up()

    @property
    def length(self) -> int:
        """Number of entries."""
        return len(self._ledger.hashes)

    @property
    def head(self) -> str:
        """Hash of the last entry."""
        return self._ledger.head

    def contains(self, head: str) -> bool:
        """Whether an entry has that hash: a ledger that holds what once was its last entry was not cut before it."""
        return head in self._ledger.hashes

    def catch_up(self) -> None:
        """Take in what others entered, and make sure that nothing was cut off the end."""
        pointer, _ = self._pointer()
        self._ledger.catch_up()
        if pointer is not None and pointer.sequence >= 0:
            if pointer.sequence >= self.length:
                raise IntegrityError(
                    f"The ledger in {self.store.url} has {self.length} entries, but {POINTER} was made after entry "
                    f"{pointer.sequence}: its end is missing. Nothing is released until it is restored."
                )
            if pointer.head != self._ledger.hashes[pointer.sequence]:
                raise IntegrityError(
                    f"Ledger entry {pointer.sequence} in {self.store.url} is not the one after which {POINTER} was "
                    "made. Nothing is released until it is explained."
                )

    def append(self, signer: Signer, clock: Clock, decide: Callable[[], Draft | None]) -> Entry | None:
        """Enter what `decide` wants, given that `self.state` is complete when it is called; see `Ledger.append`."""
        return self._ledger.append(signer, clock, decide)

    def engaged(self) -> bool:
        """Whether the switch is engaged, by the flag or by the ledger; a flag that vanished counts as engaged."""
        found = switchflag.read(self.store)
        return found.engaged or self.state.engaged or (found.etag is None and self.state.engagement > 0)

    def effective(self) -> tuple[str, ...]:
        """The good releases, oldest first, as ledger and flag together have it."""
        return self._good(switchflag.read(self.store))

    def unrecorded(self, found: switchflag.Found) -> bool:
        """Whether the flag tells of an engagement that is not in the ledger yet."""
        number = found.flag.engagement if found.flag else None
        return found.engaged and not self.state.engaged and (number is None or number > self.state.engagement)

    def require_disengaged(self) -> None:
        """Raise `RefusedError` while the switch is engaged."""
        if self.engaged():
            found = switchflag.read(self.store).flag
            who = f" by {found.by} ({found.reason})" if found and found.engaged else ""
            raise RefusedError(
                f"The kill-switch is engaged{who}. Two operators release it with `spice kill release`; until then "
                "nothing is trained or released."
            )

    def project(self) -> Pointer:
        """Bring `release.json` in line with ledger and flag; whoever comes after a crash completes it.

        The flag is read again after writing: an engager sets the flag and then
        looks for releases, a promoter makes a release and then looks at the
        flag, so at least one of them sees the other.
        """
        while True:
            current, etag = self._pointer()
            found = switchflag.read(self.store)
            self.catch_up()
            wanted = self._wanted(found)
            if current != wanted:
                try:
                    self.store.swap(POINTER, dumps(wanted.model_dump()), etag)
                except ConflictError:
                    continue
            if switchflag.read(self.store) == found:
                return wanted

    def pointer_current(self) -> bool:
        """Whether `release.json` says what `project` would write."""
        current, etag = self._pointer()
        untouched = etag is None and self.state.sequence < 0
        return untouched or current == self._wanted(switchflag.read(self.store))

    @contextmanager
    def refusals_recorded(self, signer: Signer, clock: Clock, attempted: str, subject: str) -> Iterator[None]:
        """Enter a refusal inside the block into the ledger, if the signer has a registered key, and pass it on."""
        try:
            yield
        except RefusedError as refusal:
            reason = str(refusal)
            try:
                self.append(
                    signer, clock, lambda: Draft("refused", subject, {"attempted": attempted, "reason": reason})
                )
            except RefusedError:
                raise refusal from None  # a stranger: no entry could bear a signature that counts
            except SpiceError as error:
                raise RefusedError(f"{reason} (This refusal is not in the ledger: {error})") from refusal
            raise

    def _apply(self, entry: Entry) -> None:
        states.apply(self.state, entry, self.keyring.get)
        if self._observe:
            self._observe(entry)

    def _pointer(self) -> tuple[Pointer | None, str | None]:
        """The pointer and its etag."""
        found = self.store.read(POINTER)
        if found is None:
            return None, None
        try:
            return Pointer.model_validate_json(found[0]), found[1]
        except ValidationError as error:
            if self._repairing:
                return None, found[1]
            raise IntegrityError(
                f"{POINTER} in {self.store.url} is damaged, so nobody can tell whether the ledger's end is missing. "
                "Nothing is released or served until it is put right: `spice ledger verify`, compare the last entry "
                "with the one that you noted, then `spice ledger recover`."
            ) from error

    def _wanted(self, found: switchflag.Found) -> Pointer:
        releases, sequence = self._good(found), self.state.sequence
        engagement = found.flag.engagement if found.flag and found.engaged else self.state.engagement
        return Pointer(
            live=releases[-1] if releases else None,
            previous=releases[-2] if len(releases) > 1 else None,
            sequence=sequence,
            head=self._ledger.hashes[sequence] if sequence >= 0 else GENESIS,
            engagement=engagement,
        )

    def _good(self, found: switchflag.Found) -> tuple[str, ...]:
        # An engagement that is not in the ledger yet has taken effect already.
        return states.after_engaging(self.state.releases) if self.unrecorded(found) else self.state.releases
