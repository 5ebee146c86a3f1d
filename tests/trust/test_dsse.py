from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from spice.errors import RefusedError
from spice.trust import dsse


def test_what_is_sealed_is_unpacked(new_signer) -> None:
    anna = new_signer("anna")
    found = dsse.unpack(dsse.seal(anna, dsse.IN_TOTO, b'{"a":1}').model_dump())
    assert (found.signer, found.payload_type, found.payload) == ("anna", dsse.IN_TOTO, b'{"a":1}')


def test_another_implementation_of_dsse_verifies_it(new_signer) -> None:
    """securesystemslib is the reference implementation of in-toto's signatures."""
    implementation = pytest.importorskip("securesystemslib.dsse")
    from securesystemslib.signer import SSlibKey

    anna = new_signer("anna")
    envelope = implementation.Envelope.from_dict(dsse.seal(anna, dsse.IN_TOTO, b'{"a":1}').model_dump())
    raw = Ed25519PublicKey.from_public_bytes(bytes.fromhex(anna.public_key))
    key = SSlibKey.from_crypto(raw, keyid="anna")
    assert list(envelope.verify([key], 1)) == ["anna"]


@pytest.mark.parametrize(
    "changes",
    [
        {"payload": "%%%"},
        {"signatures": []},
        {"signatures": [{"keyid": "anna"}]},
        {"payloadType": None},
        {"more": 1},
        {"payload": "ü"},
    ],
)
def test_nonsense_is_no_envelope(new_signer, changes: dict) -> None:
    envelope = dsse.seal(new_signer("anna"), dsse.IN_TOTO, b"{}").model_dump()
    with pytest.raises(RefusedError, match="no DSSE envelope"):
        dsse.unpack({**envelope, **changes})
