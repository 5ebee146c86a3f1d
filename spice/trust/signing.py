"""Ed25519 signatures over canonical JSON.

What is signed is DSSE's pre-authentication encoding, which puts the type of the
payload in front of it: a signature made for an approval can never pass as one
for a ledger entry. The payload is stored as readable JSON beside its
signature; wrapping it in base64 gives a DSSE envelope with the same signature.
"""

from __future__ import annotations

from typing import Annotated, Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import BaseModel, ConfigDict, Field

from spice.store.canonical import JSON, digest, dumps

# Lower case only: another spelling of the same bytes would let an object change without its signature breaking.
Hex64 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Hex128 = Annotated[str, Field(pattern=r"^[0-9a-f]{128}$")]


class Signer:
    """A private key with the name under which its public half is registered."""

    def __init__(self, name: str, key: Ed25519PrivateKey) -> None:
        self.name = name
        self.public_key = key.public_key().public_bytes_raw().hex()
        self._key = key

    def sign(self, kind: str, payload: JSON) -> str:
        """The signature of `payload` as a document of type `kind`, as 128 hexadecimal digits."""
        return self._key.sign(encode(kind, payload)).hex()

    def seal(self, kind: str, payload: dict[str, JSON]) -> Signed:
        """`payload` with its type, this signer's name and the signature."""
        return Signed(kind=kind, payload=payload, signer=self.name, signature=self.sign(kind, payload))


class Signed(BaseModel):
    """A payload with its signature, as it lies in the store."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    payload: dict[str, Any]
    signer: str
    signature: Hex128

    def valid_under(self, kind: str, public_key: str) -> bool:
        """Whether this is a document of type `kind`, signed by the owner of `public_key`."""
        return self.kind == kind and verify(public_key, kind, self.payload, self.signature)


def verify(public_key: str, kind: str, payload: JSON, signature: str) -> bool:
    """Whether `signature` was made over `payload`, as a document of type `kind`, by the owner of `public_key`."""
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key)).verify(
            bytes.fromhex(signature), encode(kind, payload)
        )
    except (InvalidSignature, ValueError):
        return False
    return True


def encode(kind: str, payload: JSON) -> bytes:
    """DSSE's pre-authentication encoding of a canonical JSON payload of type `kind`."""
    media_type = f"application/vnd.spice.{kind}+json".encode()
    body = dumps(payload)
    return b"DSSEv1 %d %b %d %b" % (len(media_type), media_type, len(body), body)


def fingerprint(public_key: str) -> str:
    """A public key's fingerprint: the SHA-256 of its 32 bytes, for people to compare."""
    return digest(bytes.fromhex(public_key))
