from __future__ import annotations

import json

import pytest

from spice.errors import IntegrityError, RefusedError, StoreError
from spice.promotion import release, switch
from spice.promotion.log import ReleaseLog


def engage(world, name: str = "otto"):
    return switch.engage(world.store, world.people[name], "it lies", world.clock)


def let_go(world, name: str):
    return switch.release(world.store, world.people[name], "mended", world.clock)


def rewrite(world, **changes: object) -> None:
    flag = json.loads(world.store.get("switch.json"))
    world.store.put("switch.json", json.dumps({**flag, **changes}).encode())


def test_a_new_store_is_not_engaged(world) -> None:
    assert not switch.status(world.store).engaged
    switch.require_disengaged(world.store)


def test_engaging_takes_the_live_release_out_for_good(world) -> None:
    one, two = world.released("one"), world.released("two")
    ref = world.requested("three")
    world.approve(ref)
    found = engage(world)
    assert (found.engaged, found.by, found.reason, found.live, found.problem) == (True, "otto", "it lies", one, "")
    assert (world.pointer()["live"], world.pointer()["engagement"]) == (one, 1)
    with pytest.raises(RefusedError, match=r"engaged by otto \(it lies\)"):
        switch.require_disengaged(world.store)
    with pytest.raises(RefusedError, match="kill-switch is engaged"):
        world.promote(ref)
    let_go(world, "otto")
    let_go(world, "olga")
    with pytest.raises(RefusedError, match="taken out by the kill-switch"):
        world.requested("two")
    with pytest.raises(RefusedError, match="no earlier release in good standing"):
        release.rollback(world.store, world.people["lena"], world.clock, to=two)


def test_engaging_with_one_release_leaves_nothing_live(world) -> None:
    world.released("one")
    assert engage(world).live is None
    assert world.pointer()["live"] is None


def test_engaging_twice_is_engaging_once(world) -> None:
    one = world.released("one")
    world.released("two")
    assert engage(world).live == one
    assert engage(world, "olga").live == one
    assert [e.action for e in world.entries()].count("kill.engage") == 1


def test_it_takes_two_operators_to_release(world) -> None:
    engage(world)
    found = let_go(world, "otto")
    assert (found.engaged, found.consents) == (True, ("otto",))
    with pytest.raises(RefusedError, match="otto agreed already"):
        let_go(world, "otto")
    for name in ("anna", "lena", "rita"):
        with pytest.raises(RefusedError, match="needs the role operator"):
            let_go(world, name)
    assert switch.status(world.store).engaged
    assert not let_go(world, "olga").engaged
    switch.require_disengaged(world.store)
    assert not let_go(world, "olga").engaged
    assert [e.action for e in world.entries()].count("kill.release") == 1


def test_consent_does_not_outlast_the_engagement(world) -> None:
    for _ in range(2):
        engage(world)
        assert let_go(world, "otto").engaged
        assert not let_go(world, "olga").engaged
    assert [e.body["engagement"] for e in world.entries() if e.action == "kill.engage"] == [1, 2]


@pytest.mark.parametrize("name", ["anna", "lena", "rita"])
def test_only_operators_engage(world, name: str) -> None:
    with pytest.raises(RefusedError, match="needs the role operator"):
        engage(world, name)
    assert not switch.status(world.store).engaged


def test_a_promotion_works_again_after_release(world) -> None:
    engage(world)
    let_go(world, "otto")
    let_go(world, "olga")
    assert world.released("one") == world.pointer()["live"]


@pytest.mark.parametrize("damage", [b"", b"{}", b'{"engaged":false}', b"\xff", b"null"])
def test_a_flag_that_cannot_be_read_counts_as_engaged(world, damage: bytes) -> None:
    world.store.put("switch.json", damage)
    assert switch.status(world.store).engaged
    with pytest.raises(RefusedError, match="engaged"):
        switch.require_disengaged(world.store)
    assert engage(world).problem == ""
    let_go(world, "otto")
    assert not let_go(world, "olga").engaged


def test_a_flag_that_vanished_counts_as_engaged(world) -> None:
    engage(world)
    let_go(world, "otto")
    let_go(world, "olga")
    world.store.delete("switch.json")
    with pytest.raises(RefusedError, match="engaged"):
        switch.require_disengaged(world.store)
    assert not let_go(world, "otto").engaged  # the ledger says that two agreed


def test_a_flag_cleared_by_hand_does_not_release(world) -> None:
    engage(world)
    rewrite(world, engaged=False)
    assert switch.status(world.store).engaged
    with pytest.raises(RefusedError, match="engaged"):
        switch.require_disengaged(world.store)


def test_an_old_flag_put_back_does_not_weaken_the_next_engagement(world) -> None:
    one = world.released("one")
    engage(world)
    let_go(world, "otto")
    old = world.store.get("switch.json")
    let_go(world, "olga")
    world.store.put("switch.json", old)  # engaged 1, although 1 was released
    assert switch.status(world.store).engaged
    engage(world)
    assert [e.body["engagement"] for e in world.entries() if e.action == "kill.engage"] == [1, 2]
    assert let_go(world, "otto").engaged
    assert world.pointer()["live"] != one


def test_engaging_works_while_the_ledger_is_broken(world) -> None:
    world.released("one")
    world.store.put("ledger/000000000004.json", b"rubbish")
    found = engage(world)
    assert found.engaged
    assert "entry 4" in found.problem
    assert json.loads(world.store.get("switch.json"))["engaged"]
    with pytest.raises(RefusedError, match="cannot be read, which counts as engaged"):
        switch.require_disengaged(world.store)
    with pytest.raises(IntegrityError):
        let_go(world, "otto")


def test_an_engagement_without_entry_has_taken_effect_and_is_completed(world) -> None:
    one, two = world.released("one"), world.released("two")
    flag = {"engaged": True, "engagement": 1, "by": "otto", "reason": "crashed", "time": "2026-03-01T00:00:00.000Z"}
    world.store.put("switch.json", json.dumps(flag).encode())
    assert release.status(ReleaseLog(world.store)).live == one
    assert release.recover(world.store).live == one
    assert world.pointer()["live"] == one
    with pytest.raises(RefusedError, match="not in the ledger yet"):
        release.rollback(world.store, world.people["lena"], world.clock)
    engage(world, "olga")
    assert two in ReleaseLog(world.store).state.revoked
    assert world.pointer()["live"] == one


def test_rolling_back_works_while_engaged(world) -> None:
    world.released("one")
    world.released("two")
    engage(world)
    assert release.rollback(world.store, world.people["lena"], world.clock).live is None


def test_a_store_that_fails_is_no_permission(world) -> None:
    class Down(type(world.store)):
        def read(self, key: str):
            raise StoreError("the store is down")

    down = Down(world.store.root)
    with pytest.raises(RefusedError, match="counts as engaged"):
        switch.require_disengaged(down)
    found = switch.status(down)
    assert found.engaged
    assert "down" in found.problem
