"""`spice doctor` and `spice gc`, as a person or a script calls them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from spice.config import StoreConfig
from spice.store import artifacts, open_store


def spice(*arguments: str) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("SPICE_STORE")}
    return subprocess.run(
        [sys.executable, "-c", "from spice.cli import main; main()", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=environ,
    )


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A store with one tagged dataset, and one checkpoint of two days ago that nothing refers to."""
    store = open_store(StoreConfig(url=str(tmp_path / "store")))
    dataset = artifacts.write(store, "datasets/facts", {"a": b"1"}, {})
    artifacts.tag(store, "datasets/facts", "latest", dataset.rpartition("/")[2])
    checkpoint = artifacts.write(store, "checkpoints", {"weights": b"x" * 1000}, {})
    for info in store.list(checkpoint):
        os.utime(tmp_path / "store" / info.key, (1e9, 1e9))
    return store.url


def test_doctor_prints_a_table(url: str) -> None:
    done = spice("doctor", "--store", url)
    assert done.returncode == 0, done.stderr
    for words in ("create once", "the second writer was refused", "the ledger", "versioning", "GB free"):
        assert words in done.stdout


def test_doctor_for_machines(url: str) -> None:
    found = json.loads(spice("doctor", "--store", url, "--json").stdout)
    assert found["store"] == url
    assert {finding["name"]: finding["ok"] for finding in found["findings"]}["compare and swap"] is True


def test_doctor_fails_where_guardrails_cannot_stand(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file")
    done = spice("doctor", "--store", str(tmp_path / "store"))
    assert done.returncode == 1
    assert "NO" in done.stdout
    assert "Traceback" not in done.stderr


def test_gc_only_lists_unless_told_to_delete(url: str) -> None:
    for arguments in ([], ["--dry-run"]):
        done = spice("gc", "--store", url, *arguments)
        assert done.returncode == 0, done.stderr
        assert "spice gc --delete" in " ".join(done.stdout.split())  # a long address wraps the title
        assert "checkpoints/" in done.stdout
    assert [info.key for info in open_store(StoreConfig(url=url)).list("checkpoints/")] != []


def test_gc_deletes(url: str) -> None:
    done = spice("gc", "--store", url, "--delete", "--json")
    result = json.loads(done.stdout)
    assert result["deleted"] is True
    assert [(each["reason"], each["objects"]) for each in result["garbage"]] == [("nothing refers to it", 2)]
    store = open_store(StoreConfig(url=url))
    assert list(store.list("checkpoints/")) == []
    assert artifacts.resolve(store, "datasets/facts")
    assert "Nothing to delete" in spice("gc", "--store", url).stdout
