"""Signatures on checkpoints, made with OpenSSF model-signing and kept beside the checkpoint, not in it.

`model_signing verify key` checks the same signature with the signer's public
key. Here it is enough to compare the signed digests with the checkpoint's
manifest, which its reference vouches for: whoever loads the files compares
every byte with that manifest.
"""

from __future__ import annotations

import base64
import json
import tempfile
from pathlib import Path
from typing import Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from pydantic import BaseModel, Field, ValidationError

from spice.errors import IntegrityError, NotFoundError, RefusedError
from spice.models.catalog import checkpoint_folder
from spice.promotion.log import ReleaseLog
from spice.store import artifacts
from spice.store.base import ObjectStore
from spice.store.canonical import digest
from spice.store.refs import digest_of
from spice.trust.dsse import IN_TOTO
from spice.trust.keyring import PublicKey
from spice.trust.ledger import Clock, Draft
from spice.trust.signing import Signer, pre_authentication_encoding
from spice.trust.token import reachable

PREFIX = "signatures"


class _Resource(BaseModel):
    """One signed file."""

    name: str
    algorithm: Literal["sha256"]
    digest: str


class _Predicate(BaseModel):
    resources: tuple[_Resource, ...] = Field(min_length=1)


class _Statement(BaseModel):
    """What model-signing signs."""

    predicateType: Literal["https://model_signing/signature/v1.0"]
    predicate: _Predicate


class _Signature(BaseModel):
    sig: str


class _Envelope(BaseModel):
    payload: str
    payloadType: str
    signatures: tuple[_Signature, ...] = Field(min_length=1, max_length=1)


class _Bundle(BaseModel):
    """A Sigstore bundle, as far as a signature with a key needs it."""

    dsseEnvelope: _Envelope


def sign(store: ObjectStore, ref: str, signer: Signer, clock: Clock) -> str:
    """Sign the files of the checkpoint `ref`; returns the signature's key in the store. Signing again changes nothing.

    Raises:
        RefusedError: the signer is no requester, or their key was registered without one for checkpoints.
        IntegrityError: the checkpoint is damaged.
    """
    log = ReleaseLog(store)
    with log.refusals_recorded(signer, clock, "checkpoint.sign", ref):
        body = make(log, ref, signer)
        entered = body["signature"] in log.state.entered
        log.append(signer, clock, lambda: None if entered else Draft("checkpoint.sign", ref, body))
        return str(body["signature"])


def make(log: ReleaseLog, ref: str, signer: Signer) -> dict[str, str]:
    """Sign the checkpoint `ref`, and leave it to the caller to enter the result, the body of an entry. As `sign`."""
    key = log.keyring.require(signer, "requester")
    if key.checkpoint_key != signer.checkpoint_key:
        raise RefusedError(
            f"The key of {signer.name} was registered before checkpoints were signed. Replace it: "
            f"`spice keys rotate {signer.name}`."
        )
    place = f"{PREFIX}/{digest_of(ref)}/{signer.name}.{key.fingerprint[:16]}.json"
    if log.store.head(place) is None:
        # Two who sign at once both sign the same, and either signature is good.
        log.store.put(place, _bundle(checkpoint_folder(ref, log.store), signer))
    return {"signature": place, "sha256": digest(log.store.get(place))}


def verify(log: ReleaseLog, ref: str, *, pending: bool = False) -> str:
    """Who signed the checkpoint `ref` so that it counts.

    Args:
        log: the release log.
        ref: `checkpoints/<digest>`.
        pending: it is about to be released, so a revoked key does not count, whenever it signed.

    Raises:
        RefusedError: nobody did; with what is wrong with each signature that is there.
        StoreError: the store cannot be read.
    """
    files = {name: entry.sha256 for name, entry in artifacts.files(log.store, ref).items()}
    problems = []
    for info in log.store.list(f"{PREFIX}/{digest_of(ref)}/"):
        name = info.key.rpartition("/")[2].partition(".")[0]
        try:
            _check(log, info.key, name, files, pending=pending)
        except (RefusedError, NotFoundError) as error:
            problems.append(str(error))
        else:
            return name
    raise RefusedError(
        f"{ref} bears no signature that counts. {' '.join(problems) or 'It was never signed.'} "
        "A requester signs it by requesting its release."
    )


def require_signed(store: ObjectStore, ref: str) -> str:
    """Who signed the checkpoint `ref`; for whoever loads it. Raises `RefusedError` as `verify` does."""
    try:
        return verify(ReleaseLog(store), ref)
    except (NotFoundError, IntegrityError) as error:
        raise RefusedError(f"{ref} cannot be trusted: {error}") from error


def public_key_pem(key: PublicKey) -> bytes:
    """The key that `model_signing verify key --public-key` wants. Raises `RefusedError` if there is none."""
    return _point(key).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _bundle(folder: Path, signer: Signer) -> bytes:
    from model_signing import signing

    with tempfile.TemporaryDirectory() as work:
        private, signature = Path(work) / "key.pem", Path(work) / "signature.json"
        if signer.token:
            with reachable(signer.token):
                signing.Config().use_pkcs11_signer(pkcs11_uri=signer.token).sign(folder, signature)
            return signature.read_bytes()
        private.touch(0o600)
        private.write_bytes(
            signer.checkpoint_private_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        )
        signing.Config().use_elliptic_key_signer(private_key=private).sign(folder, signature)
        return signature.read_bytes()


def _check(log: ReleaseLog, place: str, name: str, files: dict[str, str], *, pending: bool) -> None:
    data = log.store.get(place)
    envelope, payload, signature = _unpacked(place, data)
    signed = pre_authentication_encoding(envelope.payloadType, payload)
    keys = [key for key in log.keyring.generations(name) if key.checkpoint_key and _made(key, signature, signed)]
    if envelope.payloadType != IN_TOTO or not keys:
        raise RefusedError(f"{place} is no signature of {name}; it was changed or forged.")
    entered = log.state.entered.get(place) if log.state.digests.get(place) == digest(data) else None
    if problem := log.keyring.why_not(keys[-1], None if pending and log.keyring.revoked(keys[-1]) else entered):
        raise RefusedError(f"{place} does not count: {problem}.")
    try:
        statement = _Statement.model_validate_json(payload)
    except ValidationError as error:
        raise RefusedError(f"{place} signs no model.") from error
    if {resource.name: resource.digest for resource in statement.predicate.resources} != files:
        raise RefusedError(f"{place} does not count: {name} signed other files than these.")


def _unpacked(place: str, data: bytes) -> tuple[_Envelope, bytes, bytes]:
    try:
        envelope = _Bundle.model_validate(json.loads(data)).dsseEnvelope
        payload = base64.b64decode(envelope.payload, validate=True)
        return envelope, payload, base64.b64decode(envelope.signatures[0].sig, validate=True)
    except ValueError as error:  # of JSON, pydantic or base64
        raise RefusedError(f"{place} is no signature bundle; it was changed.") from error


def _made(key: PublicKey, signature: bytes, signed: bytes) -> bool:
    try:
        _point(key).verify(signature, signed, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


def _point(key: PublicKey) -> ec.EllipticCurvePublicKey:
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), bytes.fromhex(key.checkpoint_key or ""))
    except ValueError as error:
        raise RefusedError(f"The key of {key.name} was registered without one for checkpoints.") from error
