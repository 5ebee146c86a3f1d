"""Signed statements in DSSE envelopes, the form in which other tools expect attestations."""

from __future__ import annotations

import base64

from pydantic import BaseModel, ConfigDict, Field

from spice.errors import RefusedError
from spice.trust.signing import Signer

IN_TOTO = "application/vnd.in-toto+json"


class Signature(BaseModel):
    """One signature; `keyid` is the name of a registered key."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    keyid: str
    sig: str


class Envelope(BaseModel):
    """A payload in base64 with its type and signatures. Names are those of the DSSE specification."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    payload: str
    payloadType: str
    signatures: tuple[Signature, ...] = Field(min_length=1, max_length=1)


class Opened(BaseModel):
    """What an envelope holds; nothing of it is verified."""

    payload_type: str
    payload: bytes
    signer: str
    signature: str


def seal(signer: Signer, payload_type: str, payload: bytes) -> Envelope:
    """`payload` with the signature of `signer`."""
    signature = bytes.fromhex(signer.sign_bytes(payload_type, payload))
    return Envelope(
        payload=base64.b64encode(payload).decode(),
        payloadType=payload_type,
        signatures=(Signature(keyid=signer.name, sig=base64.b64encode(signature).decode()),),
    )


def unpack(envelope: object) -> Opened:
    """What is in an envelope, to be verified. Raises `RefusedError` if it is none."""
    try:
        found = Envelope.model_validate(envelope)
        (signature,) = found.signatures
        return Opened(
            payload_type=found.payloadType,
            payload=base64.b64decode(found.payload, validate=True),
            signer=signature.keyid,
            signature=base64.b64decode(signature.sig, validate=True).hex(),
        )
    except ValueError as error:  # of pydantic or base64
        raise RefusedError("It is no DSSE envelope; it was changed, or written by another version.") from error
