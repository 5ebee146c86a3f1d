from __future__ import annotations

import json
from pathlib import Path

import pytest

from spice.errors import IntegrityError, RefusedError
from spice.promotion import audit, release, request, switch
from spice.promotion.log import ReleaseLog
from spice.trust.ledger import Draft


def actions(world) -> list[str]:
    return [entry.action for entry in world.entries()]


def test_an_approved_candidate_goes_live(world) -> None:
    live = world.released("one")
    assert live == world.candidate("one")
    entry = json.loads(world.store.get("ledger/000000000009.json"))
    assert entry["action"] == "release"
    assert entry["body"]["approvers"] == ["anna"]
    assert entry["body"]["requester"] == "rita"
    assert world.pointer() | {"head": ""} == {
        "live": live,
        "previous": None,
        "sequence": 9,
        "head": "",
        "engagement": 0,
    }
    second = world.released("two")
    assert (world.pointer()["live"], world.pointer()["previous"]) == (second, live)


def test_promoting_again_changes_nothing(world) -> None:
    live = world.released("one")
    before = world.pointer()
    assert world.promote(world.entries()[0].subject).live == live
    assert world.pointer() == before
    assert actions(world) == ["request", "approve", "release"]


def test_without_approval_nothing_goes_live_and_the_refusal_is_entered(world) -> None:
    ref = world.requested()
    with pytest.raises(RefusedError, match=r"0 of 1 approvals: 1 missing. Someone other than rita"):
        world.promote(ref)
    assert world.store.read("release.json") is None
    assert actions(world) == ["request", "refused"]


def test_only_releasers_promote_and_roll_back(world) -> None:
    ref = world.requested()
    world.approve(ref)
    for name in ("rita", "anna", "otto"):
        with pytest.raises(RefusedError, match="needs the role releaser"):
            release.promote(world.store, ref, world.people[name], world.config, world.clock)
        with pytest.raises(RefusedError, match="needs the role releaser"):
            release.rollback(world.store, world.people[name], world.clock)
    assert actions(world).count("refused") == 6


def test_a_request_made_before_another_release_is_refused(world) -> None:
    one, two = world.requested("one"), world.requested("two")
    world.approve(one)
    world.approve(two)
    world.promote(one)
    with pytest.raises(RefusedError, match="made to replace nothing, but live is"):
        world.promote(two)
    assert world.released("two") == world.candidate("two")


def test_what_is_live_is_not_requested_again(world) -> None:
    world.released("one")
    with pytest.raises(RefusedError, match="is live already"):
        world.requested("one")


@pytest.mark.parametrize(
    "change",
    [{"min_improvement": 0.01}, {"max_contamination": 0.5}, {"approval_hours": 1.0}, {"primary_suite": "reasoning"}],
)
def test_the_promoters_thresholds_count_not_the_requesters(world, change: dict) -> None:
    ref = world.requested()
    world.approve(ref)
    world.config = world.config.model_copy(update=change)
    with pytest.raises(RefusedError, match=f"other settings than the configured ones .promotion.{next(iter(change))}"):
        world.promote(ref)


def test_the_promoters_policy_counts_not_the_requesters(world, tmp_path: Path) -> None:
    lax = tmp_path / "lax.rego"
    lax.write_text('package gate\nimport rego.v1\noutcome := "pass"\nreasons := ["whatever"]')
    strict = world.config
    world.config = strict.model_copy(update={"policy": str(lax)})
    ref = world.requested()
    world.approve(ref)
    world.config = strict
    with pytest.raises(RefusedError, match="another gate policy"):
        world.promote(ref)
    world.config = strict.model_copy(update={"policy": str(tmp_path / "gone.rego")})
    with pytest.raises(RefusedError, match="cannot be read"):
        world.promote(ref)


def test_evidence_that_changed_since_the_decision_is_refused(world) -> None:
    ref = world.requested()
    world.approve(ref)
    candidate = world.candidate()
    evaluation = request.load(ReleaseLog(world.store), ref).evaluation
    for key in (f"{candidate}/model.safetensors", f"{candidate}/manifest.json", f"{evaluation}.json"):
        whole = world.store.get(key)
        world.store.put(key, whole + b" ")
        with pytest.raises(RefusedError, match=r"damaged|changed after|no longer gives"):
            world.promote(ref)
        world.store.delete(key)
        with pytest.raises(RefusedError, match=r"missing|not in the store|no longer gives"):
            world.promote(ref)
        world.store.put(key, whole)
    world.store.put("runs/run-one/iterations/000002.json", b'{"warnings": [], "learner": {"loss": null}}')
    with pytest.raises(RefusedError, match="no longer gives the decision"):
        world.promote(ref)


def test_rolling_back_goes_to_the_release_before(world) -> None:
    one, two = world.released("one"), world.released("two")
    assert release.rollback(world.store, world.people["lena"], world.clock, reason="worse").live == one
    assert (world.pointer()["live"], world.pointer()["previous"]) == (one, None)
    assert release.rollback(world.store, world.people["lena"], world.clock, to=two).live == two
    assert release.rollback(world.store, world.people["lena"], world.clock, to=one).live == one
    assert release.rollback(world.store, world.people["lena"], world.clock, to=one).live == one
    assert release.rollback(world.store, world.people["lena"], world.clock).live is None
    with pytest.raises(RefusedError, match="Nothing is live"):
        release.rollback(world.store, world.people["lena"], world.clock)
    assert actions(world)[-5:] == ["rollback", "rollback", "rollback", "rollback", "refused"]


def test_rolling_back_to_what_was_never_released_is_refused(world) -> None:
    world.released("one")
    with pytest.raises(RefusedError, match="no earlier release in good standing"):
        release.rollback(world.store, world.people["lena"], world.clock, to=world.candidate("two"))


def test_a_used_request_does_not_undo_a_rollback(world) -> None:
    world.released("one")
    ref = world.entries()[-1].body["request"]
    release.rollback(world.store, world.people["lena"], world.clock)
    with pytest.raises(RefusedError, match="is live no more"):
        world.promote(ref)


def test_a_lost_or_damaged_pointer_is_made_again_from_the_ledger(world) -> None:
    one = world.released("one")
    whole = world.pointer()
    for damage in (b"", b"{}", b'{"live":"checkpoints/evil"}'):
        world.store.put("release.json", damage)
        assert release.recover(world.store).live == one
        assert world.pointer() == whole
    world.store.put("release.json", json.dumps({**whole, "live": "checkpoints/evil"}).encode())
    assert release.status(ReleaseLog(world.store)).live == one
    release.recover(world.store)
    assert world.pointer() == whole


@pytest.mark.parametrize("damage", [b"", b"{}", b'{"live":"checkpoints/evil"}', b"\xff\x00"])
def test_nothing_is_decided_beside_a_damaged_pointer(world, damage: bytes) -> None:
    """It could have shown that the ledger's end is missing; so nothing that rests on the ledger is said either."""
    world.released("one")
    waiting = world.requested("two")
    people, store = world.people, world.store
    before = len(world.entries())
    store.put("release.json", damage)
    for attempt in (
        lambda: world.approve(waiting),
        lambda: world.promote(waiting),
        lambda: release.verify(store, waiting, world.config, world.clock),
        lambda: release.rollback(store, people["lena"], world.clock),
        lambda: switch.release(store, people["otto"], "all is well", world.clock),
    ):
        with pytest.raises(IntegrityError, match=r"release.json .* is damaged"):
            attempt()
    with pytest.raises(RefusedError, match="counts as engaged"):
        switch.require_disengaged(store)
    found = switch.status(store)
    assert (found.engaged, found.live) == (True, None)
    assert "release.json" in audit.verify(store).problems[0]
    assert store.get("release.json") == damage
    release.recover(store)
    assert len(world.entries()) == before
    world.approve(waiting)
    assert world.promote(waiting).live is not None


def test_the_switch_engages_beside_a_damaged_pointer(world) -> None:
    world.released("one")
    world.store.put("release.json", b"{")
    found = switch.engage(world.store, world.people["otto"], "something is wrong", world.clock)
    assert found.engaged
    assert "not entered in the ledger" in found.problem
    release.recover(world.store)
    assert switch.engage(world.store, world.people["otto"], "again", world.clock).problem == ""
    assert [entry.action for entry in world.entries()][-1] == "kill.engage"
    assert world.pointer()["live"] is None


def test_a_ledger_cut_off_at_the_end_is_found(world) -> None:
    world.released("one")
    world.store.delete("ledger/000000000009.json")
    with pytest.raises(IntegrityError, match="its end is missing"):
        world.requested("two")


def test_a_ledger_whose_end_was_written_anew_is_found(world) -> None:
    world.released("one")
    pointer = world.store.get("release.json")
    world.store.delete("release.json")
    world.store.delete("ledger/000000000009.json")
    ReleaseLog(world.store).append(world.people["lena"], world.clock, lambda: Draft("refused", ""))
    world.store.put("release.json", pointer)
    with pytest.raises(IntegrityError, match=r"entry 9 .* is not the one after which"):
        ReleaseLog(world.store)
