from __future__ import annotations

import base64
import json
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from spice.errors import IntegrityError, RefusedError
from spice.promotion import approval, gate, request
from spice.promotion.log import ReleaseLog
from spice.store import artifacts
from spice.store.canonical import dumps
from spice.trust import dsse
from spice.trust.signing import Signer


def actions(world) -> list[tuple[str, str]]:
    return [(entry.actor, entry.action) for entry in world.entries()]


def test_the_gate_comes_before_people(world) -> None:
    decision = world.decision(world.evaluation("bad", suites={"cloze": world.suite(-0.2, -0.1)}))
    with pytest.raises(RefusedError, match=r"did not pass .* No improvement on cloze"):
        request.request(world.store, decision, world.people["rita"], world.clock)
    unsure = world.decision(world.evaluation("unsure", suites={"cloze": world.suite(-0.1, 0.2)}))
    with pytest.raises(RefusedError, match="inconclusive"):
        request.request(world.store, unsure, world.people["rita"], world.clock)
    assert actions(world) == [("rita", "refused"), ("rita", "refused")]


def test_asking_twice_is_asking_once(world) -> None:
    assert world.requested() == world.requested()
    assert actions(world) == [("rita", "request")]


def test_only_requesters_ask_and_judge(world) -> None:
    decision = world.decision(world.evaluation())
    with pytest.raises(RefusedError, match="needs the role requester"):
        request.request(world.store, decision, world.people["anna"], world.clock)
    with pytest.raises(RefusedError, match="needs the role requester"):
        gate.record(world.store, gate.judge(world.store, world.evaluation(), world.config), world.people["anna"])


def test_a_changed_decision_or_request_is_refused(world) -> None:
    ref = world.requested()
    log = ReleaseLog(world.store)
    for key in (ref, request.load(log, ref).decision):
        whole = world.store.get(f"{key}.json")
        world.store.put(f"{key}.json", whole.replace(b"rita", b"root"))
        with pytest.raises(RefusedError, match="cannot be trusted"):
            world.promote(ref)
        world.store.put(f"{key}.json", whole)


def test_a_decision_signed_by_a_stranger_is_refused(world) -> None:
    held = dsse.unpack(artifacts.read_json(world.store, world.decision(world.evaluation())))
    forged = held.payload.replace(b'"outcome":"pass"', b'"outcome":"fail"')
    for signer, payload_type, payload in (
        (world.people["anna"], dsse.IN_TOTO, held.payload),
        (Signer("rita", Ed25519PrivateKey.generate()), dsse.IN_TOTO, held.payload),
    ):
        envelope = dsse.seal(signer, payload_type, payload)
        ref = artifacts.write_json(world.store, "decisions", envelope.model_dump(mode="json"))
        with pytest.raises(RefusedError, match=r"needs the role|changed or forged"):
            request.request(world.store, ref, world.people["rita"], world.clock)
    envelope = dsse.seal(world.people["rita"], dsse.IN_TOTO, held.payload).model_dump(mode="json")
    for changes in ({"payload": base64.b64encode(forged).decode()}, {"payloadType": "application/json"}):
        ref = artifacts.write_json(world.store, "decisions", {**envelope, **changes})
        with pytest.raises(RefusedError, match="changed or forged"):
            request.request(world.store, ref, world.people["rita"], world.clock)


def test_nobody_approves_their_own_request(world) -> None:
    decision = world.decision(world.evaluation())
    ref = request.request(world.store, decision, world.people["root"], world.clock)
    with pytest.raises(RefusedError, match="root asked for this release and so cannot"):
        world.approve(ref, "root")
    assert actions(world)[-1] == ("root", "refused")


def test_a_self_given_approval_that_was_smuggled_in_does_not_count(world) -> None:
    ref = request.request(world.store, world.decision(world.evaluation()), world.people["root"], world.clock)
    other = world.requested()
    given = world.approve(other, "anna").model_dump(mode="json")
    mine = {**given, "request": ref, "approver": "root"}
    _smuggle(world, ref, "root", world.people["root"].seal("approval", mine))
    with pytest.raises(RefusedError, match=r"0 of 1 approvals.*asked for this release"):
        world.promote(ref)


def test_only_approvers_approve(world) -> None:
    ref = world.requested()
    for name in ("lena", "otto", "rita"):
        with pytest.raises(RefusedError, match="needs the role approver"):
            world.approve(ref, name)


def test_an_approval_of_another_request_does_not_count(world) -> None:
    one, two = world.requested("one"), world.requested("two")
    world.approve(one)
    world.store.put(f"{two}/approvals/anna.json", world.store.get(f"{one}/approvals/anna.json"))
    with pytest.raises(RefusedError, match=r"0 of 1 approvals.*not for this request"):
        world.promote(two)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"candidate": "checkpoints/other"}, "not for this request"),
        ({"evaluation": "evaluations/other"}, "not for this request"),
        ({"decision": "decisions/other"}, "not for this request"),
        ({"approver": "boris"}, "bears another's signature"),
        ({"verdict": "maybe"}, "changed or forged"),
        ({"time": "2027-01-01T00:00:00Z", "expires": "2027-01-02T00:00:00Z"}, "dated in the future"),
        ({"time": "2026-01-01T00:00:00Z", "expires": "2030-01-02T00:00:00Z"}, "expired at 2026-01-08"),
        ({"time": "2026-03-01T00:00:00", "expires": "2026-03-09T00:00:00"}, "changed or forged"),
    ],
)
def test_an_approval_that_says_something_else_does_not_count(world, change: dict[str, str], problem: str) -> None:
    ref = world.requested()
    given = world.approve(ref).model_dump(mode="json")
    _smuggle(world, ref, "anna", world.people["anna"].seal("approval", {**given, **change}))
    with pytest.raises(RefusedError, match=f"0 of 1 approvals.*{problem}"):
        world.promote(ref)


def test_a_forged_approval_does_not_count(world) -> None:
    ref = world.requested()
    world.approve(ref)
    sealed = json.loads(world.store.get(f"{ref}/approvals/anna.json"))
    for forged in (
        {**sealed, "signature": "00" * 64},
        {**sealed, "signer": "boris"},
        {**sealed, "kind": "request"},
        {**sealed, "signer": "eve"},
        {"nothing": 1},
    ):
        world.store.put(f"{ref}/approvals/anna.json", dumps(forged))
        with pytest.raises(RefusedError, match="0 of 1 approvals"):
            world.promote(ref)


def test_an_approval_expires_and_can_be_renewed(world) -> None:
    ref = world.requested()
    world.approve(ref)
    world.clock.now += timedelta(hours=world.config.approval_hours)
    with pytest.raises(RefusedError, match="approval of anna expired"):
        world.promote(ref)
    world.approve(ref)
    assert world.promote(ref).live == world.candidate()


def test_the_promoters_limit_on_an_approvals_age_holds(world) -> None:
    ref = world.requested()
    approval.approve(world.store, ref, world.people["anna"], 10_000.0, world.clock)
    world.clock.now += timedelta(hours=world.config.approval_hours)
    with pytest.raises(RefusedError, match="expired"):
        world.promote(ref)


def test_two_approvals_are_two_people(world) -> None:
    world.config = world.config.model_copy(update={"approvals": 2})
    ref = world.requested()
    world.approve(ref)
    world.approve(ref)
    with pytest.raises(RefusedError, match="1 of 2 approvals"):
        world.promote(ref)
    world.approve(ref, "boris")
    assert world.promote(ref).live == world.candidate()
    assert [a for a in actions(world) if a[1] == "approve"] == [("anna", "approve"), ("boris", "approve")]


def test_a_rejection_is_final(world) -> None:
    ref = world.requested()
    world.approve(ref, "boris")
    world.approve(ref, "anna", reject=True, reason="I do not believe it")
    with pytest.raises(RefusedError, match="anna rejected"):
        world.promote(ref)
    with pytest.raises(RefusedError, match="anna rejected"):
        world.approve(ref, "boris")
    with pytest.raises(RefusedError, match="anna rejected"):
        request.request(
            world.store, request.load(ReleaseLog(world.store), ref).decision, world.people["root"], world.clock
        )
    world.approve(world.requested("two"), "boris")


def test_a_rejection_outlives_its_object(world) -> None:
    ref = world.requested()
    world.approve(ref, "boris")
    world.approve(ref, "anna", reject=True)
    for info in list(world.store.list(f"{ref}/approvals/anna")):
        world.store.delete(info.key)
    with pytest.raises(RefusedError, match="anna rejected"):
        world.promote(ref)


def test_a_rejection_that_did_not_reach_the_ledger_counts(world) -> None:
    ref = world.requested()
    said = world.approve(ref, "boris").model_dump(mode="json")
    no = {**said, "approver": "anna", "verdict": "reject"}
    _smuggle(world, ref, "anna", world.people["anna"].seal("approval", no))
    with pytest.raises(RefusedError, match="anna rejected"):
        world.promote(ref)


def test_rubbish_in_my_name_does_not_keep_me_from_speaking(world) -> None:
    ref = world.requested()
    world.store.put(f"{ref}/approvals/anna.json", b"rubbish")
    world.approve(ref)
    assert world.promote(ref).live == world.candidate()


def test_a_broken_ledger_stops_people_too(world) -> None:
    ref = world.requested()
    world.store.delete("ledger/000000000003.json")
    with pytest.raises(IntegrityError, match=r"entry 3 .* is missing"):
        world.approve(ref)


def _smuggle(world, ref: str, name: str, sealed) -> None:
    world.store.put(f"{ref}/approvals/{name}.json", dumps(sealed.model_dump(mode="json")))
