"""Checkpoint keys in a token: SoftHSM, which is one in software."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from spice.errors import ConfigError, RefusedError
from spice.promotion import checkpoint
from spice.promotion.log import ReleaseLog
from spice.store import artifacts
from spice.trust.enrol import enrol
from spice.trust.keys import create_signer, load_signer
from spice.trust.rotation import revoke, rotate_own
from spice.trust.token import checkpoint_point

MODULES = [Path(place) / "libsofthsm2.so" for place in ("/usr/lib/softhsm", "/usr/lib64/softhsm", "/usr/lib64/pkcs11")]
P256, P384 = "06082a8648ce3d030107", "06052b81040022"
PIN = "1234"


@dataclass(frozen=True)
class Token:
    """An initialised token."""

    module: Path
    secret: Path

    def uri(self, key: str, token: str = "spice") -> str:
        """A key's name, with its PIN in a file."""
        return f"pkcs11:token={token};object={key}?module-path={self.module}&pin-source=file:{self.secret}"

    def make(self, key: str, curve: str = P256) -> str:
        """A new key pair of that name; returns its URI."""
        import PyKCS11 as p11

        library = p11.PyKCS11Lib()
        library.load(str(self.module))
        (slot,) = (
            s for s in library.getSlotList(tokenPresent=True) if library.getTokenInfo(s).label.strip() == "spice"
        )
        session = library.openSession(slot, p11.CKF_SERIAL_SESSION | p11.CKF_RW_SESSION)
        session.login(PIN)
        common = [(p11.CKA_KEY_TYPE, p11.CKK_EC), (p11.CKA_LABEL, key), (p11.CKA_TOKEN, p11.CK_TRUE)]
        public = [*common, (p11.CKA_EC_PARAMS, bytes.fromhex(curve)), (p11.CKA_VERIFY, p11.CK_TRUE)]
        private = [*common, (p11.CKA_SIGN, p11.CK_TRUE), (p11.CKA_SENSITIVE, p11.CK_TRUE)]
        session.generateKeyPair(public, private, mecha=p11.Mechanism(p11.CKM_EC_KEY_PAIR_GEN, None))
        session.logout()
        session.closeSession()
        return self.uri(key)


@pytest.fixture(scope="module")
def token(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Token]:
    """A token of our own."""
    pytest.importorskip("PyKCS11", reason="NO PKCS#11: install the pkcs11 extra")
    module, tool = next((path for path in MODULES if path.exists()), None), shutil.which("softhsm2-util")
    if module is None or tool is None:
        pytest.skip("NO TOKEN: install SoftHSM (Debian: softhsm2)")
    folder = tmp_path_factory.mktemp("softhsm")
    (folder / "tokens").mkdir()
    (folder / "conf").write_text(f"directories.tokendir = {folder / 'tokens'}\n")
    (folder / "pin").write_text(PIN)
    before = os.environ.get("SOFTHSM2_CONF")
    os.environ["SOFTHSM2_CONF"] = str(folder / "conf")  # the module reads it when it is loaded
    subprocess.run(
        [tool, "--init-token", "--free", "--label", "spice", "--pin", PIN, "--so-pin", "5678"],
        check=True,
        capture_output=True,
    )
    yield Token(module, folder / "pin")
    if before is None:
        del os.environ["SOFTHSM2_CONF"]
    else:
        os.environ["SOFTHSM2_CONF"] = before


@pytest.fixture
def member(world, token: Token, tmp_path: Path) -> Callable[[str], Path]:
    """Registers a requester whose checkpoint key is a new one in the token; returns the folder of private keys."""

    def register(name: str) -> Path:
        signer = create_signer(name, tmp_path / "keys", token=token.make(name))
        enrol(world.store, signer, ["requester"], world.clock, world.people["root"])
        return tmp_path / "keys"

    return register


def test_the_token_signs_and_model_signing_verifies_it(world, member, tmp_path: Path) -> None:
    from model_signing import verifying

    ref, signer = world.candidate(), load_signer("hana", member("hana"))
    place = checkpoint.sign(world.store, ref, signer, world.clock)
    assert checkpoint.require_signed(world.store, ref) == "hana"
    (tmp_path / "signature").write_bytes(world.store.get(place))
    (tmp_path / "key.pem").write_bytes(checkpoint.public_key_pem(ReleaseLog(world.store).keyring.get("hana")))
    folder = artifacts.download(world.store, ref, tmp_path / "model")
    verifying.Config().use_elliptic_key_verifier(public_key=tmp_path / "key.pem").verify(folder, tmp_path / "signature")


def test_what_a_revoked_token_key_signed_counts_no_more(world, member) -> None:
    ref, signer = world.candidate(), load_signer("ivo", member("ivo"))
    checkpoint.sign(world.store, ref, signer, world.clock)
    revoke(world.store, "ivo", world.people["root"], world.clock, from_entry=0)
    with pytest.raises(RefusedError, match="revoked"):
        checkpoint.require_signed(world.store, ref)


def test_a_rotated_key_takes_another_one_in_the_token_or_none(world, member, token: Token) -> None:
    folder = member("jana")
    with pytest.raises(RefusedError, match="same key of the token"):
        rotate_own(world.store, "jana", folder, world.clock, token=token.uri("jana"))
    (folder / "jana.2.pem").unlink()
    record = rotate_own(world.store, "jana", folder, world.clock, token=token.make("jana-2"))
    assert record.checkpoint_key == checkpoint_point(token.uri("jana-2"))
    assert load_signer("jana", folder, 2).token == token.uri("jana-2")
    derived = rotate_own(world.store, "jana", folder, world.clock)
    assert derived.checkpoint_key not in (None, record.checkpoint_key)
    assert load_signer("jana", folder, 3).token == ""


def test_one_key_of_a_token_belongs_to_one_person(world, member, token: Token) -> None:
    folder = member("karl")
    other = create_signer("lena-2", folder, token=token.uri("karl"))
    with pytest.raises(RefusedError, match="registered as karl already"):
        enrol(world.store, other, ["requester"], world.clock, world.people["root"])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("object=mia", "object=nobody"), "Could not find any object"),
        (("token=spice", "token=other"), "Could not find a token"),
        (("pin-source=file:", "pin-source=file:/nowhere"), "No such file"),
        (("module-path=", "module-path=/nowhere"), "module cannot be loaded"),
        (("pkcs11:", "hsm:"), "missing 'pkcs11:' prefix"),
    ],
)
def test_a_token_that_does_not_give_the_key_is_named_and_nothing_is_made(
    token: Token, tmp_path: Path, change: tuple[str, str], says: str
) -> None:
    uri = token.uri("mia").replace(*change)
    with pytest.raises(RefusedError, match=says) as caught:
        create_signer("mia", tmp_path, token=uri)
    assert "pin-source=file" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_key_on_another_curve_is_refused(token: Token, tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match=r"curve secp384r1\. Checkpoints take one on P-256"):
        create_signer("nina", tmp_path, token=token.make("nina", P384))


def test_a_private_key_that_is_there_keeps_its_token(token: Token, tmp_path: Path) -> None:
    uri = token.make("olaf")
    create_signer("olaf", tmp_path, token=uri)
    with pytest.raises(ConfigError, match="already a private key"):
        create_signer("olaf", tmp_path)
    assert load_signer("olaf", tmp_path).token == uri
    assert (tmp_path / "olaf.token").stat().st_mode & 0o077 == 0
