from __future__ import annotations

import json
import threading

import pytest

from spice.errors import ConflictError, IntegrityError, NotFoundError, RefusedError
from spice.store.canonical import dumps
from spice.trust.keyring import ROLES, Keyring
from spice.trust.ledger import Draft, Entry, Ledger, key_of
from spice.trust.register import register


class Book:
    """A ledger of notes by two people."""

    def __init__(self, store, new_signer, clock) -> None:
        self.store, self.clock = store, clock
        self.root, self.anna = new_signer("root"), new_signer("anna")
        register(store, self.root, ROLES)
        register(store, self.anna, ["approver"], self.root)

    def open(self, seen: list[Entry] | None = None) -> Ledger:
        return Ledger(self.store, Keyring(self.store), (seen if seen is not None else []).append)

    def note(self, text: str, by=None) -> Entry:
        return self.open().append(by or self.anna, self.clock, lambda: Draft("note", text, {"n": 1.5, "ü": [None]}))

    def read(self) -> list[Entry]:
        seen: list[Entry] = []
        self.open(seen).catch_up()
        return seen


@pytest.fixture
def book(store, new_signer, clock) -> Book:
    return Book(store, new_signer, clock)


def test_what_is_entered_is_read_back_in_order(book: Book) -> None:
    written = [book.note("a"), book.note("b", book.root), book.note("c")]
    assert book.read() == written
    assert [(e.sequence, e.actor, e.subject) for e in written] == [(0, "anna", "a"), (1, "root", "b"), (2, "anna", "c")]
    assert written[0].time == "2026-03-01T00:00:00.000Z"


def test_an_open_ledger_takes_in_what_others_enter(book: Book) -> None:
    seen: list[Entry] = []
    ledger = book.open(seen)
    book.note("a")
    ledger.catch_up()
    book.note("b")
    ledger.catch_up()
    assert [e.subject for e in seen] == ["a", "b"]


def test_nothing_is_entered_when_nothing_is_wanted_or_the_decision_fails(book: Book) -> None:
    assert book.open().append(book.anna, book.clock, lambda: None) is None
    with pytest.raises(RefusedError, match="no"):
        book.open().append(book.anna, book.clock, lambda: (_ for _ in ()).throw(RefusedError("no")))
    assert book.read() == []


def test_strangers_enter_nothing(book: Book, new_signer) -> None:
    with pytest.raises(RefusedError, match="No key named eve"):
        book.note("a", new_signer("eve"))
    with pytest.raises(RefusedError, match="not the one registered"):
        book.note("a", new_signer("anna"))
    assert book.read() == []


def test_every_changed_byte_is_found(book: Book) -> None:
    for text in "abc":
        book.note(text)
    for sequence in range(3):
        whole = book.store.get(key_of(sequence))
        for position, byte in enumerate(whole):
            changed = bytearray(whole)
            changed[position] ^= 0x20 if chr(byte).isalpha() else 0x01  # letters change their case only
            (book.store.root / key_of(sequence)).write_bytes(changed)
            with pytest.raises(IntegrityError) as caught:
                book.read()
            assert f"Ledger entry {sequence} " in str(caught.value), (position, caught.value)
        book.store.put(key_of(sequence), whole)
    assert len(book.read()) == 3


def moved(entries: list[bytes], source: int, target: int) -> list[bytes]:
    return [*entries[:target], entries[source], *entries[target:]]


@pytest.mark.parametrize(
    ("name", "change", "problem"),
    [
        ("missing", lambda e: {0: e[0], 2: e[2], 3: e[3]}, "entry 1 .* is missing"),
        ("first missing", lambda e: {1: e[1], 2: e[2], 3: e[3]}, "entry 0 .* is missing"),
        ("closed up", lambda e: {0: e[0], 1: e[2], 2: e[3]}, "entry 1 .* was moved"),
        ("reordered", lambda e: {0: e[0], 1: e[2], 2: e[1], 3: e[3]}, "entry 1 .* was moved"),
        ("repeated", lambda e: dict(enumerate(moved(e, 1, 2))), "entry 2 .* was moved"),
        ("from another ledger", lambda e: {**dict(enumerate(e)), 2: e[4]}, "entry 2 .* does not follow"),
    ],
)
def test_tampering_with_whole_entries_is_found(book: Book, clock, name: str, change, problem: str) -> None:
    others = Book.__new__(Book)
    others.store, others.clock, others.anna = type(book.store)(book.store.root.parent / "other"), clock, book.anna
    for key in ("trust/root.json", "trust/keys/root.json", "trust/keys/anna.json"):
        others.store.put(key, book.store.get(key))
    for text in "abcd":
        book.note(text)
        others.note(text.upper())
    entries = [book.store.get(key_of(i)) for i in range(4)] + [others.store.get(key_of(2))]
    changed = change(entries) if name == "from another ledger" else change(entries[:4])
    for sequence in range(5):
        book.store.delete(key_of(sequence))
        if sequence in changed and not (name == "from another ledger" and sequence == 4):
            book.store.put(key_of(sequence), changed[sequence])
    with pytest.raises(IntegrityError, match=problem):
        book.read()


def test_an_entry_signed_by_somebody_else_is_found(book: Book, new_signer) -> None:
    book.note("a")
    entry = json.loads(book.store.get(key_of(0)))
    content = {k: v for k, v in entry.items() if k != "signature"}
    eve = new_signer("anna")
    book.store.put(key_of(0), dumps({**content, "signature": eve.sign("ledger-entry", content)}))
    with pytest.raises(IntegrityError, match=r"entry 0 .* changed or forged"):
        book.read()
    content["actor"] = "eve"
    book.store.put(key_of(0), dumps({**content, "signature": eve.sign("ledger-entry", content)}))
    with pytest.raises(IntegrityError, match=r"entry 0 .* a key that does not count"):
        book.read()


@pytest.mark.parametrize("key", ["ledger/readme.txt", "ledger/5.json", "ledger/00000000000x.json"])
def test_other_objects_among_the_entries_are_found(book: Book, key: str) -> None:
    book.note("a")
    book.store.put(key, b"{}")
    with pytest.raises(IntegrityError, match="is no ledger entry"):
        book.read()


def test_concurrent_writers_end_up_in_one_chain(book: Book) -> None:
    def write(number: int) -> None:
        for i in range(5):
            book.note(f"{number}-{i}", book.anna if number % 2 else book.root)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    entries = book.read()
    assert sorted(e.subject for e in entries) == sorted(f"{n}-{i}" for n in range(8) for i in range(5))
    for n in range(8):
        assert [e.subject for e in entries if e.subject.startswith(f"{n}-")] == [f"{n}-{i}" for i in range(5)]


def test_a_decision_is_taken_again_when_somebody_was_first(book: Book) -> None:
    seen: list[Entry] = []
    ledger = book.open(seen)
    looks = []

    def decide() -> Draft | None:
        looks.append([e.subject for e in seen])
        if len(looks) == 1:
            book.note("first")
        return Draft("note", "second")

    ledger.append(book.anna, book.clock, decide)
    assert looks == [[], ["first"]]
    assert [e.subject for e in book.read()] == ["first", "second"]


def test_a_lost_reply_enters_nothing_twice(book: Book) -> None:
    class LostReply(type(book.store)):
        def create(self, key: str, data: bytes) -> None:
            super().create(key, data)
            raise ConflictError("the client tried again and met its own first write")

    book.store = LostReply(book.store.root)
    book.note("a")
    book.note("b")
    assert [e.subject for e in book.read()] == ["a", "b"]


def test_a_key_that_vanishes_makes_its_entries_unverifiable(book: Book) -> None:
    book.note("a")
    book.store.delete("trust/keys/anna.json")
    with pytest.raises(IntegrityError, match=r"entry 0 .* does not count"):
        book.read()
    with pytest.raises(NotFoundError):
        book.store.get("trust/keys/anna.json")
