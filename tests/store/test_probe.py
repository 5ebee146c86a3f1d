"""The probe tells what a store does, not what it says it does."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from spice.config import StoreConfig
from spice.errors import RefusedError
from spice.store import ObjectStore, open_store
from spice.store.folder import FolderStore
from spice.store.probe import Finding, probe, require


def now() -> datetime:
    """Not a constant of the module: a lock must end in the service's future, and tests may begin long after import."""
    return datetime.now(UTC)


def by_name(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.name: finding for finding in findings}


def test_what_every_back_end_can_do(store: ObjectStore) -> None:
    findings = probe(store, now())
    found = by_name(findings)
    for name in ("write and read", "create once", "compare and swap"):
        assert found[name].ok, found[name]
    require(findings)
    assert list(store.list("")) == []


def test_a_plain_store_keeps_nothing(store: ObjectStore) -> None:
    found = by_name(probe(store, now()))
    assert not found["versioning"].ok
    assert not found["retention"].ok


@pytest.mark.integration
def test_a_bucket_with_object_lock(s3_server: Any, s3_store_config: StoreConfig) -> None:
    url = s3_store_config.url.replace(f"//{s3_server.bucket}/", f"//{s3_server.locked_bucket}/")
    store = open_store(s3_store_config.model_copy(update={"url": url}))
    found = by_name(probe(store, now()))
    assert all(finding.ok for finding in found.values()), found
    assert found["retention"].detail == "deleting a locked object was refused"
    assert list(store.list("")) == []


def test_free_space_of_a_folder(tmp_path: Path) -> None:
    finding = by_name(probe(FolderStore(tmp_path / "not" / "yet"), now()))["free space"]
    assert "GB free in" in finding.detail


class Forgetful(FolderStore):
    """A service of the kind that accepts conditions and ignores them."""

    def create(self, key: str, data: bytes) -> None:
        self.put(key, data)

    def swap(self, key: str, data: bytes, expected: str | None) -> str:
        self.put(key, data)
        return "etag"


def test_a_store_that_ignores_conditions_is_found_out(tmp_path: Path) -> None:
    findings = probe(Forgetful(tmp_path / "store"), now())
    found = by_name(findings)
    assert not found["create once"].ok
    assert not found["compare and swap"].ok
    with pytest.raises(RefusedError, match=r"create once .*let through.*the ledger.*compare and swap"):
        require(findings)


def test_a_store_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file")
    findings = probe(FolderStore(tmp_path / "store"), now())
    assert "stands where a folder is needed" in by_name(findings)["write and read"].detail
    with pytest.raises(RefusedError):
        require(findings)
