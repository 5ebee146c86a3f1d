from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from spice.errors import ConfigError, RefusedError
from spice.store.canonical import dumps
from spice.trust.enrol import enrol, own_signer
from spice.trust.keyring import ROLES, Keyring
from spice.trust.ledger import Ledger
from spice.trust.register import checked_roles, register


def test_the_first_key_may_do_everything_and_vouches_for_others(store, new_signer) -> None:
    root, anna = new_signer("root"), new_signer("anna")
    assert register(store, root, ["approver"]).roles == tuple(sorted(ROLES))
    register(store, anna, ["approver"], root)
    assert Keyring(store).get("anna").roles == ("approver",)
    assert list(Keyring(store).names()) == ["anna", "root"]
    assert register(store, anna, ["approver"], root) == Keyring(store).get("anna")


def test_only_an_admin_vouches(store, new_signer) -> None:
    root, anna, eve = (new_signer(name) for name in ("root", "anna", "eve"))
    register(store, root, ROLES)
    register(store, anna, ["approver"], root)
    with pytest.raises(RefusedError, match="must vouch"):
        register(store, eve, ["approver"])
    with pytest.raises(RefusedError, match="needs the role admin"):
        register(store, eve, ["approver"], anna)
    with pytest.raises(RefusedError, match="not the one registered"):
        register(store, eve, ["approver"], new_signer("root"))
    assert list(Keyring(store).names()) == ["anna", "root"]


def test_a_name_and_a_key_are_taken_once(store, new_signer) -> None:
    root, anna = new_signer("root"), new_signer("anna")
    register(store, root, ROLES)
    register(store, anna, ["approver"], root)
    with pytest.raises(RefusedError, match="Take another name"):
        register(store, new_signer("anna"), ["approver"], root)
    with pytest.raises(RefusedError, match="Take another name"):
        register(store, anna, ["approver", "releaser"], root)
    second = new_signer("annas-second-name")
    second.public_key = anna.public_key
    with pytest.raises(RefusedError, match="one key under one name"):
        register(store, second, ["approver"], root)


@pytest.mark.parametrize(
    "forge",
    [
        pytest.param(lambda r, roles: {**r, "payload": {**r["payload"], "roles": roles}}, id="more roles"),
        pytest.param(lambda r, roles: {**r, "signer": "anna"}, id="signed by itself"),
        pytest.param(lambda r, roles: {**r, "signer": "nobody"}, id="signed by a stranger"),
        pytest.param(lambda r, roles: {**r, "kind": "approval"}, id="another document"),
        pytest.param(lambda r, roles: {**r, "payload": {**r["payload"], "name": "boris"}}, id="another name"),
        pytest.param(lambda r, roles: {"payload": 1}, id="not a record"),
    ],
)
def test_a_forged_record_counts_for_nothing(store, new_signer, forge) -> None:
    root = new_signer("root")
    register(store, root, ROLES)
    register(store, new_signer("anna"), ["approver"], root)
    record = json.loads(store.get("trust/keys/anna.json"))
    store.put("trust/keys/anna.json", dumps(forge(record, list(ROLES))))
    with pytest.raises(RefusedError):
        Keyring(store).get("anna")


def test_two_records_that_vouch_for_each_other_count_for_nothing(store, new_signer) -> None:
    register(store, new_signer("root"), ROLES)
    eve, mallory = new_signer("eve"), new_signer("mallory")
    for new, by in ((eve, mallory), (mallory, eve)):
        payload = {"name": new.name, "roles": ["admin"], "public_key": new.public_key}
        store.put(f"trust/keys/{new.name}.json", dumps(by.seal("key", payload).model_dump()))
    with pytest.raises(RefusedError):
        Keyring(store).get("eve")


def test_another_root_record_does_not_pass_for_the_root(store, new_signer) -> None:
    register(store, new_signer("root"), ROLES)
    impostor = new_signer("root")
    payload = {"name": "root", "roles": list(ROLES), "public_key": impostor.public_key}
    store.put("trust/keys/root.json", dumps(impostor.seal("key", payload).model_dump()))
    with pytest.raises(RefusedError, match="leads back"):
        Keyring(store).get("root")


def test_a_damaged_root_stops_everything(store, new_signer) -> None:
    root = new_signer("root")
    register(store, root, ROLES)
    store.put("trust/root.json", b"{}")
    with pytest.raises(RefusedError, match="no signature counts"):
        Keyring(store).get("root")


def test_roles_are_checked() -> None:
    assert checked_roles(["operator", "approver"]) == ("approver", "operator")
    with pytest.raises(ConfigError, match="boss: no such role"):
        checked_roles(["boss"])


def test_a_person_alone_gets_a_key_at_first_use(store, tmp_path: Path, clock) -> None:
    keys = tmp_path / "keys"
    signer = own_signer(store, "local", keys, clock)
    assert Keyring(store).get("local").roles == tuple(sorted(ROLES))
    assert own_signer(store, "local", keys, clock).public_key == signer.public_key
    assert len(list(store.list("ledger/"))) == 1


def test_an_interrupted_first_use_is_completed(store, tmp_path: Path, clock) -> None:
    keys = tmp_path / "keys"
    own_signer(store, "local", keys, clock)
    store.delete("trust/keys/local.json")
    store.delete("ledger/000000000000.json")
    own_signer(store, "local", keys, clock)
    assert Keyring(store).get("local").name == "local"
    assert len(list(store.list("ledger/"))) == 1


def test_a_store_with_keys_takes_no_stranger(store, tmp_path: Path, clock, new_signer) -> None:
    enrol(store, new_signer("root"), ROLES, clock)
    with pytest.raises(RefusedError, match="no private key"):
        own_signer(store, "local", tmp_path / "keys", clock)
    own_signer(type(store)(tmp_path / "other"), "local", tmp_path / "keys", clock)
    with pytest.raises(RefusedError, match="No key named local is registered"):
        own_signer(store, "local", tmp_path / "keys", clock)


def test_other_names_do_not_come_into_being(store, tmp_path: Path, clock) -> None:
    with pytest.raises(RefusedError, match="no keys yet"):
        own_signer(store, "anna", tmp_path / "keys", clock)


def test_many_first_keys_race_and_one_is_the_root(store, clock, new_signer) -> None:
    outcomes = []

    def become(name: str) -> None:
        try:
            enrol(store, new_signer(name), ROLES, clock)
            outcomes.append(name)
        except RefusedError:
            pass

    threads = [threading.Thread(target=become, args=(f"root{i}",)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 1
    assert Keyring(store).root().name == outcomes[0]
    Ledger(store, Keyring(store), lambda entry: None).catch_up()
