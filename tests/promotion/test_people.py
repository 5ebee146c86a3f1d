"""Who counts as whom: groups, named people, and people for whom a service signs."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from spice.errors import RefusedError
from spice.promotion import approval, audit, request, switch
from spice.promotion import release as releases
from spice.trust.enrol import enrol
from spice.trust.principal import Principal
from spice.trust.rotation import revoke
from spice.trust.signing import Signer


def person(name: str, *roles: str, groups: tuple[str, ...] = ()) -> Principal:
    return Principal(name=name, method="oidc", issuer="https://id.example.org", roles=roles, groups=groups)


@pytest.fixture
def console(world) -> Signer:
    """A service that may do anything for people, and its people's colleague carla with a key of her own."""
    signer = Signer("console", Ed25519PrivateKey.generate())
    roles = ["delegate", "requester", "approver", "releaser", "operator"]
    enrol(world.store, signer, roles, world.clock, world.people["root"])
    world.people["carla"] = Signer("carla", Ed25519PrivateKey.generate())
    enrol(
        world.store,
        world.people["carla"],
        ["approver", "requester", "operator"],
        world.clock,
        world.people["root"],
        groups=["legal"],
        identities=["carla@example.org"],
    )
    return signer


def approve(world, ref: str, signer: Signer) -> approval.Approval:
    return approval.approve(world.store, ref, signer, world.config.approval_hours, world.clock)


def test_people_without_keys_go_the_whole_way(world, console: Signer) -> None:
    asking, approving, releasing = (
        console.acting_for(person(f"{name}@example.org", role))
        for name, role in (("rita", "requester"), ("anna", "approver"), ("lena", "releaser"))
    )
    decision = world.decision(world.evaluation())
    ref = request.request(world.store, decision, asking, world.clock)
    approve(world, ref, approving)
    approve(world, ref, approving)
    assert releases.promote(world.store, ref, releasing, world.config, world.clock).live == world.candidate()
    entries = world.entries()
    assert [entry.person for entry in entries[-3:]] == ["rita@example.org", "anna@example.org", "lena@example.org"]
    assert entries[-1].body["approvers"] == ["anna@example.org"]
    assert entries[-2].body["on_behalf_of"]["method"] == "oidc"
    assert audit.verify(world.store).problems == ()


@pytest.mark.parametrize(
    ("asks", "approves"),
    [
        ("dora@example.org", "dora@example.org"),
        ("carla@example.org", "carla"),
        ("carla", "carla@example.org"),
    ],
)
def test_nobody_approves_their_own_request_in_another_guise(world, console: Signer, asks: str, approves: str) -> None:
    def signer(name: str, role: str) -> Signer:
        return world.people[name] if name in world.people else console.acting_for(person(name, role))

    ref = request.request(world.store, world.decision(world.evaluation()), signer(asks, "requester"), world.clock)
    with pytest.raises(RefusedError, match="asked for this release"):
        approve(world, ref, signer(approves, "approver"))


def test_one_person_with_key_and_login_is_one_approval(world, console: Signer) -> None:
    world.config = world.config.model_copy(update={"approvals": 2})
    ref = world.requested()
    approve(world, ref, world.people["carla"])
    approve(world, ref, console.acting_for(person("carla@example.org", "approver")))
    with pytest.raises(RefusedError, match="1 of 2 approvals"):
        world.promote(ref)
    approve(world, ref, console.acting_for(person("anna@example.org", "approver")))
    assert world.promote(ref).live == world.candidate()


def test_a_service_cannot_lend_rights(world, console: Signer) -> None:
    ref = world.requested()
    for signer in (
        console,
        console.acting_for(person("anna@example.org", "requester")),
        world.people["boris"].acting_for(person("anna@example.org", "approver")),
    ):
        with pytest.raises(RefusedError):
            approve(world, ref, signer)
    with pytest.raises(RefusedError, match="0 of 1 approvals"):
        world.promote(ref)


def test_it_takes_two_people_behind_one_service_to_release_the_switch(world, console: Signer) -> None:
    one, two = (console.acting_for(person(f"{name}@example.org", "operator")) for name in ("otto", "olga"))
    switch.engage(world.store, one, "stop", world.clock)
    assert switch.release(world.store, one, "fine", world.clock).engaged
    with pytest.raises(RefusedError, match="agreed already"):
        switch.release(world.store, one, "fine", world.clock)
    assert not switch.release(world.store, two, "fine", world.clock).engaged


def test_an_operator_with_key_and_login_is_one_operator(world, console: Signer) -> None:
    switch.engage(world.store, world.people["carla"], "stop", world.clock)
    switch.release(world.store, world.people["carla"], "fine", world.clock)
    with pytest.raises(RefusedError, match="agreed already"):
        switch.release(world.store, console.acting_for(person("carla@example.org", "operator")), "fine", world.clock)


def test_approvals_can_be_asked_of_a_group_or_of_named_people(world, console: Signer) -> None:
    world.config = world.config.model_copy(update={"approvals_from": {"legal": 1}})
    ref = world.requested("one")
    world.approve(ref)
    with pytest.raises(RefusedError, match="0 of 1 approvals from legal"):
        world.promote(ref)
    approve(world, ref, world.people["carla"])
    assert world.promote(ref).live == world.candidate("one")

    world.config = world.config.model_copy(update={"approvers": ("boris",), "approvals_from": {}})
    ref = world.requested("two")
    world.approve(ref)
    with pytest.raises(RefusedError, match="0 of 1 approvals by boris"):
        world.promote(ref)
    world.approve(ref, "boris")
    assert world.promote(ref).live == world.candidate("two")


def test_a_revoked_approver_counts_no_more(world) -> None:
    ref = world.requested()
    world.approve(ref)
    revoke(world.store, "anna", world.people["root"], world.clock)
    with pytest.raises(RefusedError, match=r"0 of 1 approvals.*was revoked"):
        world.promote(ref)
    with pytest.raises(RefusedError, match="was revoked"):
        world.approve(ref)
