"""Ed25519 signatures over canonical JSON.

What is signed is DSSE's pre-authentication encoding, which puts the type of the
payload in front of it: a signature made for an approval can never pass as one
for a ledger entry. The payload is stored as readable JSON beside its
signature; wrapping it in base64 gives a DSSE envelope with the same signature.
"""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from nacl.bindings import crypto_sign_open
from nacl.exceptions import CryptoError
from pydantic import BaseModel, ConfigDict, Field

from spice.store.canonical import JSON, digest, dumps
from spice.trust.principal import Principal
from spice.trust.token import checkpoint_point

# Lower case only: another spelling of the same bytes would let an object change without its signature breaking.
Hex64 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Hex66 = Annotated[str, Field(pattern=r"^[0-9a-f]{66}$")]
Hex128 = Annotated[str, Field(pattern=r"^[0-9a-f]{128}$")]

_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


class Signer:
    """A private key with the name under which its public half is registered.

    Args:
        name: of the key.
        key: the private key.
        principal: the person for whom a service's key signs; `None` if its owner acts for themselves.
        token: PKCS#11 URI of the key that signs checkpoints; "" if that is derived from the private key.
    """

    def __init__(self, name: str, key: Ed25519PrivateKey, principal: Principal | None = None, token: str = "") -> None:
        self.name = name
        self.public_key = key.public_key().public_bytes_raw().hex()
        self.principal = principal
        self.token = token
        self._key = key

    @property
    def person(self) -> str:
        """Who acts: the principal, or the owner of the key."""
        return self.principal.name if self.principal else self.name

    @cached_property
    def checkpoint_key(self) -> str:
        """The public half of the key that signs checkpoints, as 33 compressed bytes in hexadecimal.

        Raises:
            ConfigError, RefusedError: it is in a token that does not give it; see `spice.trust.token`.
        """
        if self.token:
            return checkpoint_point(self.token)
        point = self.checkpoint_private_key().public_key()
        return point.public_bytes(Encoding.X962, PublicFormat.CompressedPoint).hex()

    def acting_for(self, principal: Principal) -> Signer:
        """The same key, signing for a person whom the key's owner, a service, identified."""
        return Signer(self.name, self._key, principal, self.token)

    def sign(self, kind: str, payload: JSON) -> str:
        """The signature of `payload` as a document of type `kind`, as 128 hexadecimal digits."""
        return self.sign_bytes(media_type(kind), dumps(payload))

    def sign_bytes(self, payload_type: str, payload: bytes) -> str:
        """The signature of a DSSE payload of that media type, as 128 hexadecimal digits."""
        return self._key.sign(pre_authentication_encoding(payload_type, payload)).hex()

    def seal(self, kind: str, payload: dict[str, JSON]) -> Signed:
        """`payload` with its type, this signer's name and the signature."""
        return Signed(kind=kind, payload=payload, signer=self.name, signature=self.sign(kind, payload))

    def checkpoint_private_key(self) -> ec.EllipticCurvePrivateKey:
        """The P-256 key that signs checkpoints without a token, since OpenSSF model-signing takes no Ed25519 keys.

        It is derived, so that people keep one secret, and one rotation or revocation covers both. 48 bytes leave the
        remainder without noticeable bias.
        """
        derived = HKDF(hashes.SHA256(), 48, None, b"spice checkpoint signing").derive(self._key.private_bytes_raw())
        return ec.derive_private_key(int.from_bytes(derived, "big") % (_P256_ORDER - 1) + 1, ec.SECP256R1())


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
    return verify_bytes(public_key, media_type(kind), dumps(payload), signature)


def verify_bytes(public_key: str, payload_type: str, payload: bytes, signature: str) -> bool:
    """Whether `signature` was made over this DSSE payload by the owner of `public_key`.

    libsodium does this in half the time of OpenSSL, which counts for a ledger of 100,000 entries.
    """
    if (len(public_key), len(signature)) != (64, 128):
        return False  # libsodium takes the lengths on trust
    try:
        message = pre_authentication_encoding(payload_type, payload)
        crypto_sign_open(bytes.fromhex(signature) + message, bytes.fromhex(public_key))
    except (CryptoError, ValueError):
        return False
    return True


def encode(kind: str, payload: JSON) -> bytes:
    """What is signed for a canonical JSON payload of type `kind`."""
    return pre_authentication_encoding(media_type(kind), dumps(payload))


def media_type(kind: str) -> str:
    """The DSSE payload type of our documents of type `kind`."""
    return f"application/vnd.spice.{kind}+json"


def pre_authentication_encoding(payload_type: str, payload: bytes) -> bytes:
    """DSSE's PAE: type and payload with their lengths, so that no two pairs give the same bytes."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def fingerprint(public_key: str) -> str:
    """A public key's fingerprint: the SHA-256 of its 32 bytes, for people to compare."""
    return digest(bytes.fromhex(public_key))
