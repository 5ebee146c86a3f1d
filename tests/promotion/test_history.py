from __future__ import annotations

from datetime import timedelta

from spice.promotion import history, release, switch
from spice.trust.keyring import Keyring
from spice.trust.ledger import Draft, Ledger


def test_what_was_live_when_and_why(world) -> None:
    world.clock.now += timedelta(hours=1)  # after everybody was registered
    before = world.clock.now
    one = world.released("one")
    after_one = world.clock.now
    two = world.released("two")
    after_two = world.clock.now
    release.rollback(world.store, world.people["lena"], world.clock, reason="worse")
    after_rollback = world.clock.now
    switch.engage(world.store, world.people["otto"], "it lies", world.clock)

    assert history.at(world.store, before).live is None
    found = history.at(world.store, after_one)
    assert (
        found.live,
        found.since.action,
        found.release.requester,
        found.release.approvers,
        found.release.releaser,
    ) == (
        one,
        "release",
        "rita",
        ("anna",),
        "lena",
    )
    assert found.release.evaluation == world.evaluation("one")
    assert history.at(world.store, after_two).live == two
    found = history.at(world.store, after_rollback)
    assert (found.live, found.since.action, found.since.body["reason"], found.release.entry) == (
        one,
        "rollback",
        "worse",
        9,
    )
    found = history.at(world.store, world.clock.now)
    assert (found.live, found.engaged, found.engaged_by, found.revoked) == (None, True, "otto: it lies", (one,))


def test_entries_that_claim_an_earlier_time_are_told(world) -> None:
    world.released("one")
    now = world.clock.now
    ledger = Ledger(world.store, Keyring(world.store), lambda entry: None)
    for days in (2, -2):
        ledger.append(world.people["lena"], lambda days=days: now + timedelta(days=days), lambda: Draft("refused", ""))
    found = history.at(world.store, now + timedelta(days=1))
    assert (found.live, found.entries, found.late) == (world.candidate("one"), 10, (11,))
