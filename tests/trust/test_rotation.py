from __future__ import annotations

import pytest

from spice.errors import IntegrityError, RefusedError
from spice.store.canonical import dumps
from spice.trust.enrol import enrol, own_signer
from spice.trust.keyring import ROLES, Keyring
from spice.trust.ledger import Draft, Ledger
from spice.trust.principal import Principal
from spice.trust.rotation import revoke, rotate, rotate_own


class House:
    """Root, an admin and two others, with their ledger."""

    def __init__(self, store, new_signer, clock) -> None:
        self.store, self.clock, self.new = store, clock, new_signer
        self.people = {name: new_signer(name) for name in ("root", "ada", "anna", "boris")}
        for name, roles in (("root", ROLES), ("ada", ["admin"]), ("anna", ["approver"]), ("boris", ["approver"])):
            enrol(store, self.people[name], roles, clock, self.people["root"])

    def note(self, name: str, signer=None) -> int:
        ledger = self.ledger()
        entry = ledger.append(signer or self.people[name], self.clock, lambda: Draft("note", name))
        assert entry is not None
        return entry.sequence

    def ledger(self) -> Ledger:
        ledger = Ledger(self.store, Keyring(self.store), lambda entry: None)
        ledger.catch_up()
        return ledger


@pytest.fixture
def house(store, new_signer, clock) -> House:
    return House(store, new_signer, clock)


@pytest.mark.parametrize("by", ["anna", "ada", "root"])
def test_a_rotated_key_stays_good_for_what_came_before(house: House, by: str) -> None:
    house.note("anna")
    new = house.new("anna")
    record = rotate(house.store, new, house.people[by], house.clock)
    assert rotate(house.store, new, house.people[by], house.clock) == record
    assert record.public_key == new.public_key
    house.note("anna", new)
    with pytest.raises(RefusedError, match="not the one in force"):
        house.note("anna")
    newer = house.new("anna")
    rotate(house.store, newer, new, house.clock)
    house.note("anna", newer)
    assert [key.public_key for key in Keyring(house.store).generations("anna")] == [
        house.people["anna"].public_key,
        new.public_key,
        newer.public_key,
    ]


def test_the_root_rotates_and_stays_the_root(house: House) -> None:
    before = Keyring(house.store).root()
    new = house.new("root")
    rotate(house.store, new, house.people["root"], house.clock)
    house.note("root", new)
    assert Keyring(house.store).root() == before
    enrol(house.store, house.new("carla"), ["approver"], house.clock, new)
    house.ledger()


@pytest.mark.parametrize("by", ["boris", "stranger"])
def test_nobody_else_rotates_or_revokes(house: House, by: str) -> None:
    signer = house.people.get(by) or house.new(by)
    with pytest.raises(RefusedError):
        rotate(house.store, house.new("anna"), signer, house.clock)
    with pytest.raises(RefusedError):
        revoke(house.store, "anna", signer, house.clock)
    house.note("anna")


@pytest.mark.parametrize("by", ["anna", "ada"])
def test_a_revoked_key_signs_nothing_more_until_an_admin_gives_a_new_one(house: House, by: str) -> None:
    last = house.note("anna")
    found = revoke(house.store, "anna", house.people[by], house.clock, reason="stolen")
    assert found.from_entry == last + 1
    with pytest.raises(RefusedError, match="was revoked"):
        house.note("anna")
    with pytest.raises(RefusedError, match="was revoked"):
        Keyring(house.store).require(house.people["anna"])
    new = house.new("anna")
    with pytest.raises(RefusedError, match="was revoked"):
        rotate(house.store, new, house.people["anna"], house.clock)
    rotate(house.store, new, house.people["ada"], house.clock)
    house.note("anna", new)


def test_an_entry_signed_with_a_revoked_or_replaced_key_is_found(house: House) -> None:
    for end in (
        lambda: revoke(house.store, "anna", house.people["ada"], house.clock),
        lambda: rotate(house.store, house.new("boris"), house.people["boris"], house.clock),
    ):
        ledger = house.ledger()
        end()
        number = len(ledger.hashes) + 1
        content = {
            "sequence": number,
            "previous": house.ledger().head,
            "time": "2026-03-01T00:00:00.000Z",
            "actor": "anna" if number == 5 else "boris",
            "action": "note",
            "subject": "",
            "body": {},
        }
        signature = house.people[str(content["actor"])].sign("ledger-entry", content)
        key = f"ledger/{number:012d}.json"
        house.store.put(key, dumps({**content, "signature": signature}))
        with pytest.raises(IntegrityError, match=rf"entry {number} .*(was revoked|had another key)"):
            house.ledger()
        house.store.delete(key)


def test_what_a_revoked_admin_registers_does_not_count(house: House) -> None:
    revoke(house.store, "ada", house.people["root"], house.clock)
    eve = house.new("eve")
    payload = {"name": "eve", "roles": ["approver"], "public_key": eve.public_key}
    house.store.put("trust/keys/eve.json", dumps(house.people["ada"].seal("key", payload).model_dump()))
    with pytest.raises(RefusedError, match="registered with one that was revoked"):
        house.note("eve", eve)


def test_the_last_admin_stays(house: House) -> None:
    revoke(house.store, "ada", house.people["root"], house.clock)
    with pytest.raises(RefusedError, match="last admin"):
        revoke(house.store, "root", house.people["root"], house.clock)


def test_a_forged_revocation_takes_nobodys_key(house: House) -> None:
    key = Keyring(house.store).get("anna")
    payload = {"name": "anna", "fingerprint": key.fingerprint, "from_entry": 0, "reason": ""}
    for data in (b"rubbish", dumps(house.people["boris"].seal("revocation", payload).model_dump())):
        house.store.put(f"trust/revocations/{key.fingerprint}.json", data)
        Keyring(house.store).require(house.people["anna"])
    house.note("anna")


def test_private_keys_of_all_generations_stay_on_the_machine(store, tmp_path, clock) -> None:
    keys = tmp_path / "keys"
    first = own_signer(store, "local", keys, clock)
    rotate_own(store, "local", keys, clock)
    second = own_signer(store, "local", keys, clock)
    assert second.public_key != first.public_key
    assert sorted(path.name for path in keys.iterdir()) == ["local.2.pem", "local.pem"]


def test_an_interrupted_rotation_is_completed_with_the_same_key(store, tmp_path, clock) -> None:
    keys = tmp_path / "keys"
    own_signer(store, "local", keys, clock)
    rotated = rotate_own(store, "local", keys, clock)
    store.delete("ledger/000000000001.json")
    assert rotate_own(store, "local", keys, clock) == rotated


ANNA = Principal(name="anna@example.org", method="oidc", issuer="https://id.example.org", roles=("approver",))


def test_a_service_acts_for_people_and_never_for_itself(house: House) -> None:
    console = house.new("console")
    enrol(house.store, console, ["delegate", "approver"], house.clock, house.people["root"])
    keyring = Keyring(house.store)
    with pytest.raises(RefusedError, match="only act for people"):
        keyring.require(console, "approver")
    keyring.require(console.acting_for(ANNA), "approver")
    with pytest.raises(RefusedError, match="needs the role releaser"):
        keyring.require(console.acting_for(ANNA), "releaser")
    with pytest.raises(RefusedError, match="role delegate"):
        keyring.require(house.people["boris"].acting_for(ANNA), "approver")
    seen = []
    ledger = Ledger(house.store, Keyring(house.store), seen.append)
    ledger.append(console.acting_for(ANNA), house.clock, lambda: Draft("note", ""))
    assert (seen[-1].actor, seen[-1].person) == ("console", "anna@example.org")
    assert seen[-1].body["on_behalf_of"]["issuer"] == "https://id.example.org"


def test_a_service_gives_nobody_more_rights_than_their_own_key(house: House) -> None:
    console = house.new("console")
    enrol(house.store, console, ["delegate", "approver", "operator"], house.clock, house.people["root"])
    as_anna = console.acting_for(ANNA.model_copy(update={"name": "anna", "roles": ("approver", "operator")}))
    Keyring(house.store).require(as_anna, "approver")
    with pytest.raises(RefusedError, match="anna has the roles approver"):
        Keyring(house.store).require(as_anna, "operator")
    revoke(house.store, "anna", house.people["ada"], house.clock)
    with pytest.raises(RefusedError, match="revoked"):
        Keyring(house.store).require(as_anna, "approver")


def test_an_identity_belongs_to_one_person(house: House) -> None:
    enrol(house.store, house.new("carla"), ["approver"], house.clock, house.people["root"], identities=["c@ex.org"])
    with pytest.raises(RefusedError, match="belongs to one person"):
        enrol(
            house.store,
            house.new("dora"),
            ["approver"],
            house.clock,
            house.people["root"],
            identities=["c@ex.org"],
        )
