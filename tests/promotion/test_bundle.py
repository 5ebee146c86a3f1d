from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from spice.errors import ConfigError, IntegrityError, RefusedError
from spice.promotion import audit, bundle, gate, switch


@pytest.fixture
def taken(world, tmp_path: Path) -> Path:
    """A bundle of a store with a release and an engaged switch."""
    gate.keep_policies(world.store, world.config)
    world.released("one")
    switch.engage(world.store, world.people["otto"], "drill", world.clock)
    bundle.export(world.store, tmp_path / "bundle", world.clock)
    return tmp_path / "bundle"


def test_a_bundle_verifies_without_its_store(world, taken: Path) -> None:
    (world.store.root).rename(world.store.root.with_name("gone"))
    found = bundle.verify(taken)
    assert (found.problems, found.decisions, found.audit.engaged) == ((), 1, True)
    assert bundle.verify(taken, found.audit.fingerprint, found.audit.head).problems == ()
    with pytest.raises(RefusedError, match="replaced keys"):
        bundle.verify(taken, "0" * 64)
    assert "cut shorter" in bundle.verify(taken, None, "0" * 64).problems[0]


def test_an_archive_is_the_same(world, tmp_path: Path) -> None:
    gate.keep_policies(world.store, world.config)
    world.released("one")
    out = tmp_path / "new" / "bundle.tar.gz"
    found = bundle.export(world.store, out, world.clock)
    assert bundle.verify(out).audit == audit.verify(world.store) == found
    assert bundle.verify(out).problems == ()
    with pytest.raises(ConfigError, match="exists already"):
        bundle.export(world.store, out, world.clock)


def test_any_changed_file_is_found(taken: Path) -> None:
    for path in sorted(p for p in taken.rglob("*") if p.is_file() and p.name != "bundle.json"):
        whole = path.read_bytes()
        path.write_bytes(whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:])
        try:
            problems = bundle.verify(taken).problems
        except (IntegrityError, RefusedError):
            problems = ("refused",)
        assert problems, path
        path.write_bytes(whole)
    assert bundle.verify(taken).problems == ()


@pytest.mark.parametrize("place", ["trust/keys/boris.json", "switch.json"])
def test_a_missing_or_additional_file_is_found(taken: Path, place: str) -> None:
    (taken / place).rename(taken / "stray")
    problems = bundle.verify(taken).problems
    assert {f"{place} is missing from the bundle.", "stray was added to the bundle."} <= set(problems)


def test_a_damaged_key_that_signed_nothing_is_found_without_the_list(world) -> None:
    key = "trust/keys/boris.json"
    whole = world.store.get(key)
    world.store.put(key, whole.replace(b"approver", b"releaser"))
    assert "keys.add" in audit.verify(world.store).problems[0]
    world.store.delete(key)
    assert "boris" in audit.verify(world.store).problems[0]
    world.store.put(key, whole)
    assert audit.verify(world.store).problems == ()


def test_a_shortened_ledger_is_found(taken: Path) -> None:
    last = sorted((taken / "ledger").iterdir())[-1]
    last.unlink()
    with pytest.raises(IntegrityError, match="its end is missing"):
        bundle.verify(taken)
    (taken / "release.json").unlink()
    assert any("another last entry" in problem for problem in bundle.verify(taken).problems)


@pytest.mark.parametrize("content", [b"", b"\x1f\x8b", b"not an archive"])
def test_what_is_no_bundle_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "b.tar.gz").write_bytes(content)
    with pytest.raises(RefusedError, match="no bundle"):
        bundle.verify(tmp_path / "b.tar.gz")
    with pytest.raises(RefusedError, match="no bundle"):
        bundle.verify(tmp_path)


def test_an_archive_that_reaches_outside_is_refused(tmp_path: Path) -> None:
    (tmp_path / "evil").write_text(json.dumps({}))
    with tarfile.open(tmp_path / "b.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "evil", "../evil")
    with pytest.raises(RefusedError, match="no bundle"):
        bundle.verify(tmp_path / "b.tar.gz")
