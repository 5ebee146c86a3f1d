"""Checkpoint keys that never leave their token: a hardware module or a cloud's key service, through PKCS#11.

A key is named by a PKCS#11 URI (RFC 7512), such as
`pkcs11:token=spice;object=anna?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/run/secrets/pin`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from spice.errors import ConfigError, RefusedError


def checkpoint_point(uri: str) -> str:
    """The public half of the key that `uri` names, as 33 compressed bytes in hexadecimal.

    Raises:
        ConfigError: PKCS#11 is not installed.
        RefusedError: there is no such token or key, the PIN is wrong, or the key is not on the curve P-256.
    """
    with reachable(uri):
        # model-signing has no public way to the key that it will sign with, and finding it by other code could find
        # another one. The session ends with this block: a token lets a program log in once.
        from model_signing._signing.sign_pkcs11 import Signer as TokenSigner

        key: ec.EllipticCurvePublicKey = TokenSigner(uri).public_key()
    if not isinstance(key.curve, ec.SECP256R1):
        raise RefusedError(f"The key {_shown(uri)} is on the curve {key.curve.name}. Checkpoints take one on P-256.")
    return key.public_bytes(Encoding.X962, PublicFormat.CompressedPoint).hex()


@contextmanager
def reachable(uri: str) -> Iterator[None]:
    """Say in our errors what goes wrong with the token inside the block; see `checkpoint_point`."""
    try:
        from PyKCS11 import PyKCS11Error
    except ImportError as error:
        raise ConfigError("Keys in tokens need PKCS#11: pip install 'spice-platform[pkcs11]'.") from error
    try:
        yield
    except (ValueError, OSError, PyKCS11Error) as error:
        reason = str(error).replace(uri, _shown(uri)).rstrip(".") or "its module cannot be loaded"
        raise RefusedError(
            f"The token does not give the key {_shown(uri)}: {reason}. Its URI names the token, the key (object or "
            "id), the module (module-path) and the PIN (pin-source or pin-value)."
        ) from error


def _shown(uri: str) -> str:
    """What follows the question mark may hold the PIN."""
    return uri.partition("?")[0]
