from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from spice.trust.signing import Signed, encode, fingerprint, verify

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=3)
    ),
    max_leaves=8,
)


def test_a_signature_holds_for_its_payload_and_type_only(new_signer) -> None:
    anna, boris = new_signer("anna"), new_signer("boris")
    signature = anna.sign("approval", {"a": 1})
    assert verify(anna.public_key, "approval", {"a": 1}, signature)
    assert not verify(anna.public_key, "approval", {"a": 2}, signature)
    assert not verify(anna.public_key, "ledger-entry", {"a": 1}, signature)
    assert not verify(boris.public_key, "approval", {"a": 1}, signature)


@pytest.mark.parametrize("signature", ["", "00" * 64, "zz" * 64, "00" * 63])
def test_nonsense_is_no_signature(new_signer, signature: str) -> None:
    assert not verify(new_signer("anna").public_key, "approval", {}, signature)


def test_a_signature_has_one_spelling(new_signer) -> None:
    sealed = new_signer("anna").seal("approval", {"a": 1})
    with pytest.raises(ValidationError):
        Signed.model_validate({**sealed.model_dump(), "signature": sealed.signature.upper() + "0"})


def test_the_encoding_is_that_of_dsse() -> None:
    assert encode("key", {"b": 1, "a": "ü"}) == 'DSSEv1 30 application/vnd.spice.key+json 16 {"a":"ü","b":1}'.encode()


@settings(deadline=None)  # a busy machine is no failure
@given(json_values, json_values, st.sampled_from(["key", "request"]), st.sampled_from(["key", "request"]))
def test_different_documents_are_encoded_differently(one, other, kind: str, other_kind: str) -> None:
    same = (kind, repr(one)) == (other_kind, repr(other))
    if not same and not (kind == other_kind and one == other):
        assert encode(kind, one) != encode(other_kind, other)


def test_fingerprints_are_of_the_key_itself(new_signer) -> None:
    anna = new_signer("anna")
    assert len(fingerprint(anna.public_key)) == 64
    assert fingerprint(anna.public_key) != fingerprint(new_signer("anna").public_key)
