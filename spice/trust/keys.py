"""Private keys: files in the user's own configuration folder, never in the store."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from spice.errors import ConfigError, RefusedError
from spice.trust.signing import Signer
from spice.trust.token import checkpoint_point

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


def key_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Where private keys lie: `$SPICE_HOME/keys`, else `~/.config/spice/keys`."""
    home = environ.get("SPICE_HOME")
    return (Path(home) if home else Path.home() / ".config" / "spice") / "keys"


def private_key_path(name: str, folder: Path, generation: int = 1) -> Path:
    """Where the private key of that name lies; each rotation makes the next generation. Raises `ConfigError`."""
    if not NAME.fullmatch(name):
        raise ConfigError(
            f"{name!r} cannot be the name of a key. Use up to 63 lower-case letters, digits, - and _, such as anna."
        )
    return folder / (f"{name}.pem" if generation == 1 else f"{name}.{generation}.pem")


def create_signer(name: str, folder: Path, generation: int = 1, token: str = "") -> Signer:
    """Make a new private key that only its owner can read.

    Args:
        name: of the key.
        folder: of private keys.
        generation: one more than the rotations before it.
        token: PKCS#11 URI of the key that is to sign checkpoints. It is kept beside the private key.

    Raises:
        ConfigError: the name is unfit, or there is such a key already.
        RefusedError: the token does not give a key that can sign checkpoints; nothing is made.
    """
    path = private_key_path(name, folder, generation)
    taken = ConfigError(f"There is already a private key {path}. Take another name.")
    if path.exists():
        raise taken
    if token:
        checkpoint_point(token)
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        _token_path(path).unlink(missing_ok=True)  # of an attempt that went no further
        if token:
            _write_once(_token_path(path), token.encode())
        _write_once(path, pem)
    except FileExistsError as error:
        raise taken from error
    except OSError as error:
        raise ConfigError(
            f"The private key {path} could not be written: {error.strerror}. SPICE_HOME names another folder."
        ) from error
    return Signer(name, key, token=token)


def load_signer(name: str, folder: Path, generation: int = 1) -> Signer:
    """The signer whose private key lies at `private_key_path`.

    Raises:
        RefusedError: there is no such key, it cannot be read, or others can read it.
    """
    path = private_key_path(name, folder, generation)
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            pem = file.read()
        key = serialization.load_pem_private_key(pem, password=None)
        beside = _token_path(path)
        token = beside.read_text("utf-8") if beside.exists() else ""
    except FileNotFoundError as error:
        raise RefusedError(
            f"There is no private key {path} on this machine. Make one with `spice keys create {name}`, "
            "or name another with --as."
        ) from error
    except (OSError, ValueError, TypeError) as error:
        raise RefusedError(f"The private key {path} cannot be read: {error}.") from error
    if mode & 0o077:
        raise RefusedError(f"Others can read the private key {path}. Run `chmod 600 {path}`, or replace the key.")
    if not isinstance(key, Ed25519PrivateKey):
        raise RefusedError(f"{path} is not an Ed25519 key. Make one with `spice keys create NAME`.")
    return Signer(name, key, token=token)


def _token_path(private_key: Path) -> Path:
    """Where it says which token holds the checkpoint key, beside a private key."""
    return private_key.with_suffix(".token")


def _write_once(path: Path, data: bytes) -> None:
    """A whole file or none: written aside, then linked to its name, which fails if the name is taken."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.link(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
