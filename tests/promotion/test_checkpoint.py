from __future__ import annotations

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from spice.errors import RefusedError
from spice.promotion import checkpoint
from spice.promotion.log import ReleaseLog
from spice.store import artifacts
from spice.store.refs import digest_of
from spice.trust.rotation import revoke, rotate
from spice.trust.signing import Signer


def places(world, ref: str) -> list[str]:
    return [info.key for info in world.store.list(f"signatures/{digest_of(ref)}/")]


def test_a_request_signs_the_checkpoint(world) -> None:
    world.requested()
    assert checkpoint.require_signed(world.store, world.candidate()) == "rita"
    (place,) = places(world, world.candidate())
    assert world.entries()[-1].body["signature"] == place


def test_whoever_trained_it_can_sign_before(world) -> None:
    ref = world.candidate()
    place = checkpoint.sign(world.store, ref, world.people["root"], world.clock)
    assert checkpoint.sign(world.store, ref, world.people["root"], world.clock) == place
    assert [entry.action for entry in world.entries()] == ["checkpoint.sign"]
    world.released("one")
    assert places(world, ref) == [place]


def test_model_signing_verifies_it_itself(world, tmp_path: Path) -> None:
    from model_signing import verifying

    world.requested()
    (place,) = places(world, world.candidate())
    (tmp_path / "signature").write_bytes(world.store.get(place))
    (tmp_path / "key.pem").write_bytes(checkpoint.public_key_pem(ReleaseLog(world.store).keyring.get("rita")))
    folder = artifacts.download(world.store, world.candidate(), tmp_path / "model")
    config = verifying.Config().use_elliptic_key_verifier(public_key=tmp_path / "key.pem")
    config.verify(folder, tmp_path / "signature")
    (folder / "model.safetensors").write_bytes(b"other")
    with pytest.raises(ValueError, match="mismatch"):
        config.verify(folder, tmp_path / "signature")


def test_without_a_signature_nothing_is_released(world) -> None:
    ref = world.requested()
    world.approve(ref)
    (place,) = places(world, world.candidate())
    world.store.delete(place)
    with pytest.raises(RefusedError, match="never signed"):
        world.promote(ref)


@pytest.mark.parametrize("damage", ["rubbish", "changed", "another's", "other files"])
def test_a_signature_that_is_not_right_does_not_count(world, damage: str) -> None:
    ref = world.requested()
    world.approve(ref)
    (place,) = places(world, world.candidate())
    whole = world.store.get(place)
    if damage == "rubbish":
        world.store.put(place, b"{}")
    elif damage == "changed":
        bundle = json.loads(whole)
        bundle["dsseEnvelope"]["payload"] = bundle["dsseEnvelope"]["payload"][:-8] + "AAAAAAAA"
        world.store.put(place, json.dumps(bundle).encode())
    elif damage == "another's":
        world.store.delete(place)
        world.store.put(place.replace("rita", "root"), whole)
    else:
        other = checkpoint.sign(world.store, world.candidate("two"), world.people["rita"], world.clock)
        world.store.put(place, world.store.get(other))
    with pytest.raises(RefusedError, match="no signature that counts"):
        world.promote(ref)


def test_a_revoked_signer_stops_what_is_not_yet_released(world) -> None:
    live = world.released("one")
    ref = world.requested("two")
    world.approve(ref)
    revoke(world.store, "rita", world.people["root"], world.clock)
    with pytest.raises(RefusedError, match="was revoked"):
        world.promote(ref)
    assert checkpoint.require_signed(world.store, live) == "rita"
    assert ReleaseLog(world.store).state.live == live


def test_a_signer_revoked_from_an_earlier_entry_on_stops_what_is_live(world) -> None:
    live = world.released("one")
    revoke(world.store, "rita", world.people["root"], world.clock, from_entry=7)
    with pytest.raises(RefusedError, match="was revoked from ledger entry 7 on"):
        checkpoint.require_signed(world.store, live)


def test_rotation_undoes_nothing(world) -> None:
    live = world.released("one")
    ref = world.requested("two")
    world.approve(ref)
    for name in ("rita", "anna"):
        rotate(world.store, Signer(name, Ed25519PrivateKey.generate()), world.people["root"], world.clock)
    assert checkpoint.require_signed(world.store, live) == "rita"
    assert world.promote(ref).live == world.candidate("two")
