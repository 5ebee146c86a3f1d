from __future__ import annotations

from pathlib import Path

import pytest

from spice.errors import ConfigError, RefusedError
from spice.trust.keys import create_signer, key_folder, load_signer


def test_a_key_is_readable_by_its_owner_alone_and_loads_again(tmp_path: Path) -> None:
    made = create_signer("anna", tmp_path / "keys")
    assert (tmp_path / "keys" / "anna.pem").stat().st_mode & 0o777 == 0o600
    assert load_signer("anna", tmp_path / "keys").public_key == made.public_key
    assert [p.name for p in (tmp_path / "keys").iterdir()] == ["anna.pem"]


def test_a_key_is_never_replaced(tmp_path: Path) -> None:
    made = create_signer("anna", tmp_path)
    with pytest.raises(ConfigError, match="already a private key"):
        create_signer("anna", tmp_path)
    assert load_signer("anna", tmp_path).public_key == made.public_key


@pytest.mark.parametrize("name", ["", "../anna", "Anna", "a b", "anna.pem", "-x", "x" * 64])
def test_names_stay_inside_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="cannot be the name"):
        create_signer(name, tmp_path)
    with pytest.raises(ConfigError, match="cannot be the name"):
        load_signer(name, tmp_path)


def test_keys_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="no private key"):
        load_signer("anna", tmp_path)
    create_signer("anna", tmp_path)
    (tmp_path / "anna.pem").chmod(0o640)
    with pytest.raises(RefusedError, match="Others can read"):
        load_signer("anna", tmp_path)
    (tmp_path / "boris.pem").write_bytes(b"not a key")
    (tmp_path / "boris.pem").chmod(0o600)
    with pytest.raises(RefusedError, match="cannot be read"):
        load_signer("boris", tmp_path)


def test_the_folder_can_be_named() -> None:
    assert key_folder({"SPICE_HOME": "/elsewhere"}) == Path("/elsewhere/keys")
    assert key_folder({}) == Path.home() / ".config" / "spice" / "keys"
