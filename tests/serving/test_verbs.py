"""`spice serve keys` and `spice drill`, as a person alone on one machine uses them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from spice.cli import main
from spice.store.folder import FolderStore
from spice.trust.keys import key_folder, load_signer

pytestmark = [pytest.mark.integration, pytest.mark.torch]


@pytest.fixture
def spice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Runs a verb on a store of its own; returns what it prints, as JSON if it was asked for."""
    monkeypatch.setenv("SPICE_HOME", str(tmp_path / "home"))

    def run(*words: str):
        with pytest.raises(SystemExit) as end:
            main([*words, "--store", str(tmp_path / "mine")])
        out, err = capsys.readouterr()
        assert not end.value.code, err
        return json.loads(out) if "--json" in words else out

    return run


def test_keys_are_made_listed_and_revoked(spice) -> None:
    made = spice("serve", "keys", "add", "intranet", "--days", "2", "--json")
    assert made["key"].startswith(f"spice-{made['id']}-")
    assert made["scopes"] == ["generate", "models"]
    listed = spice("serve", "keys", "list")
    assert made["id"] in listed
    assert "intranet" in listed
    assert made["key"] not in listed
    spice("serve", "keys", "revoke", made["id"])
    assert spice("serve", "keys", "list", "--json")[0]["revoked"]


def test_a_drill_prints_what_it_measured(world, spice, start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    key = spice("serve", "keys", "add", "drills", "--json")["key"]
    local = load_signer("local", key_folder())
    there = type(world)(FolderStore(tmp_path / "mine"), world.model, {"rita": local, "lena": local})
    there.released("one")
    gateway = start(there.store, key)
    gateway.until(gateway.ready)
    monkeypatch.setenv("SPICE_API_KEY", key)
    words = ("drill", "--url", f"{gateway.url}/v1", "--streams", "2", "--limit", "60")
    told = spice(*words)
    assert "1 trials, 2 streams each" in told
    assert "2 of them with an error event" in told
    found = spice(*words, "--trials", "2", "--json")
    assert [trial["streams"] for trial in found["trials"]] == [2, 2]
    assert gateway.ready()
