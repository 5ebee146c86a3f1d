"""The verbs of governance, as people type them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from spice.cli import main
from spice.cli.common import load_config
from spice.promotion import request
from spice.promotion.log import ReleaseLog

Spice = Callable[..., tuple[int, str, str]]


@pytest.fixture
def spice(world, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Spice:
    """Runs a command against the world's store, with everybody's private key on this machine."""
    home = tmp_path / "home"
    (home / "keys").mkdir(parents=True)
    for name, signer in world.people.items():
        path = home / "keys" / f"{name}.pem"
        path.write_bytes(
            signer._key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        path.chmod(0o600)
    monkeypatch.setenv("SPICE_HOME", str(home))
    world.config = load_config("laptop", None, None).promotion

    def run(*args: str, store: Path = world.store.root) -> tuple[int, str, str]:
        code = 0
        try:
            main([*args, "--store", str(store)])
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    return run


def test_from_evaluation_to_live_and_back(world, spice: Spice) -> None:
    evaluation = world.evaluation()
    code, out, _ = spice("request", evaluation[:24], "--as", "rita")
    assert code == 0
    assert "The gate says: PASS" in out
    assert "interval +0.050 to +0.200, n = 240" in out
    ref = ReleaseLog(world.store).state.requested.copy().pop()
    assert f"spice promote {ref}" in out
    code, _, err = spice("promote", ref, "--as", "lena")
    assert code == 1
    assert "0 of 1 approvals: 1 missing" in err
    code, out, _ = spice("approve", ref)
    assert code == 0
    assert "rita asks to release" in out
    assert "Approved by: nobody; 1 needed, never rita." in out
    code, out, _ = spice("approve", ref[:20], "--as", "anna", "--reason", "looks right")
    assert code == 0
    assert "anna approved this until" in out
    code, out, _ = spice("promote", ref, "--as", "lena")
    assert code == 0
    assert f"Live: {world.candidate()}" in out
    code, out, _ = spice("rollback", "--as", "lena", "--reason", "it was not")
    assert code == 0
    assert "Live: nothing" in out
    code, out, _ = spice("ledger", "show", "--json")
    assert [e["action"] for e in json.loads(out)][-5:] == ["request", "refused", "approve", "release", "rollback"]
    code, out, _ = spice("ledger", "show", "--last", "2")
    assert code == 0
    assert "it was not" in out
    assert "request" not in out
    assert spice("ledger", "verify")[0] == 0


def test_a_gate_that_does_not_pass_says_why(world, spice: Spice) -> None:
    code, out, err = spice("request", world.evaluation(suites={"cloze": world.suite(-0.1, 0.1)}), "--as", "rita")
    assert (code, out) == (1, "")
    assert "did not pass" in err
    assert "Improvement on cloze is not certain" in err


def test_a_rejection(world, spice: Spice) -> None:
    ref = world.requested()
    assert "It is final" in spice("approve", ref, "--as", "anna", "--reject")[1]
    assert "Rejected by anna" in spice("approve", ref)[1]
    assert spice("approve", ref, "--as", "boris")[0] == 1
    assert spice("approve", request.load(ReleaseLog(world.store), ref).decision)[0] == 2


def test_the_switch(world, spice: Spice) -> None:
    world.released("one")
    assert spice("kill", "status")[0] == 0
    code, out, _ = spice("kill", "engage", "--as", "otto", "--reason", "it lies")
    assert code == 0
    assert "ENGAGED" in out
    assert "engaged by otto: it lies" in out
    assert spice("kill", "status")[0] == 1
    assert "a second operator must, too" in spice("kill", "release", "--as", "otto", "--reason", "mended")[1]
    code, _, err = spice("kill", "release", "--as", "otto", "--reason", "mended")
    assert code == 1
    assert "agreed already" in err
    assert "not engaged" in spice("kill", "release", "--as", "olga", "--reason", "mended")[1]
    assert spice("kill", "status")[0] == 0
    assert spice("kill", "engage", "--as", "otto")[0] == 2


def test_keys(world, spice: Spice, tmp_path: Path) -> None:
    code, out, _ = spice("keys", "create", "new-anna", "--by", "root")
    assert code == 0
    assert "new-anna may act as approver" in out
    assert "new-anna" in spice("keys", "list")[1]
    assert spice("keys", "create", "eve", "--by", "anna")[0] == 1
    assert spice("keys", "create", "eve", "--role", "boss", "--by", "root")[0] == 2
    fresh = tmp_path / "fresh"
    assert "no keys yet" in spice("keys", "list", store=fresh)[1]
    assert spice("keys", "create", "chief", "--role", "approver", store=fresh)[0] == 0
    assert [k["first"] for k in json.loads(spice("keys", "list", "--json", store=fresh)[1])] == [True]
    world.store.put("trust/keys/mallory.json", b"{}")
    assert "mallory          DOES NOT COUNT" in spice("keys", "list")[1]


def test_a_damaged_ledger_is_an_exit_code(world, spice: Spice) -> None:
    world.released("one")
    world.store.put("release.json", b"{}")
    code, out, _ = spice("ledger", "verify")
    assert code == 1
    assert "PROBLEM: release.json" in out
    assert spice("ledger", "recover")[0] == 0
    assert spice("ledger", "verify")[0] == 0
    assert spice("ledger", "verify", "--root", "0" * 64)[0] == 1
    world.store.put("ledger/000000000002.json", b"{}")
    code, _, err = spice("ledger", "verify")
    assert code == 1
    assert "Ledger entry 2" in err


@pytest.mark.parametrize("text", ["", "requests/", "requests/xyz", "../ledger", "checkpoints/abcd"])
def test_references_that_are_none(spice: Spice, text: str) -> None:
    assert spice("promote", text, "--as", "lena")[0] == 2


def test_a_reference_that_fits_nothing(spice: Spice) -> None:
    code, _, err = spice("promote", "requests/abcd", "--as", "lena")
    assert code == 1
    assert "not in the store" in err


def test_rolling_back_to_a_release_that_is_named(world, spice: Spice) -> None:
    one = world.released("one")
    world.released("two")
    code, out, _ = spice("rollback", "--as", "lena", "--to", one[:24])
    assert code == 0
    assert f"Live: {one}" in out


def test_keys_are_replaced_and_revoked(world, spice: Spice) -> None:
    assert "anna has a new key" in spice("keys", "rotate", "anna")[1]
    ref = world.requested()
    assert spice("approve", ref, "--as", "anna")[0] == 0
    code, out, _ = spice("keys", "revoke", "boris", "--by", "root", "--reason", "lost")
    assert code == 0
    assert "revoked from ledger entry" in out
    code, _, err = spice("approve", ref, "--as", "boris")
    assert code == 1
    assert "was revoked" in err
    assert spice("keys", "revoke", "anna", "--by", "rita")[0] == 1
    listed = {row["name"]: row for row in json.loads(spice("keys", "list", "--json")[1])}
    assert "revoked" in listed["boris"]["problem"]
    assert listed["anna"]["problem"] == ""
    assert spice("keys", "rotate", "boris", "--by", "root")[0] == 0
    assert spice("approve", ref, "--as", "boris")[0] == 0


def test_what_was_live_at_a_time(world, spice: Spice) -> None:
    live = world.released("one")
    code, out, _ = spice("ledger", "at", "2026-03-02")
    assert code == 0
    assert live in out
    assert "requested by rita" in out
    assert "approved by  anna" in out
    assert "live         nothing" in spice("ledger", "at", "2025-12-31T23:59:59+01:00")[1]
    assert spice("ledger", "at", "yesterday")[0] == 2


def test_a_bundle_for_an_auditor(world, spice: Spice, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ref = json.loads(spice("request", world.evaluation(), "--as", "rita", "--json")[1])["request"]
    assert spice("approve", ref, "--as", "anna")[0] == 0
    assert spice("promote", ref, "--as", "lena")[0] == 0
    code, out, _ = spice("audit", "export", str(tmp_path / "bundle.tar.gz"))
    assert code == 0
    assert "spice audit verify" in out
    with pytest.raises(SystemExit) as end:
        main(["audit", "verify", str(tmp_path / "bundle.tar.gz")])
    assert end.value.code in (0, None)
    out = capsys.readouterr().out
    assert "1 decisions of the gate were made again" in out
    assert "Nothing was compared from outside" in out


def test_signing_before_requesting(world, spice: Spice) -> None:
    code, out, _ = spice("sign", world.candidate()[:24], "--as", "rita")
    assert code == 0
    assert f"rita signed {world.candidate()}" in out
    assert spice("sign", world.candidate(), "--as", "anna")[0] == 1


def test_asking_the_gate_and_testing_its_policy(world, spice: Spice, capsys: pytest.CaptureFixture[str]) -> None:
    assert spice("gate", "ask", world.evaluation())[0] == 0
    assert spice("gate", "ask", world.evaluation("bad", suites={"cloze": world.suite(-0.2, -0.1)}))[0] == 1
    assert world.entries() == []
    with pytest.raises(SystemExit) as end:
        main(["gate", "test", str(Path(__file__).with_name("policy_test.rego"))])
    assert end.value.code in (0, None)
    assert "22 of 22 hold." in capsys.readouterr().out
