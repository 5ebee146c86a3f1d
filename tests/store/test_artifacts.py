"""Artifacts: written in the right order, named by their digest, verified at every read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spice.config import StoreConfig
from spice.errors import IntegrityError, NotFoundError, StoreError
from spice.store import ObjectStore, artifacts, canonical, open_store

NAME = "datasets/facts"


@pytest.fixture
def folder_store(tmp_path: Path) -> ObjectStore:
    return open_store(StoreConfig(url=str(tmp_path / "store")))


@pytest.fixture
def ref(store: ObjectStore, tmp_path: Path) -> str:
    part = tmp_path / "part"
    part.write_bytes(b"from a file")
    return artifacts.write(store, NAME, {"a.txt": b"from memory", "sub/b.txt": part}, {"documents": 2, "name": "été"})


def flip(store: ObjectStore, key: str, position: int = 0) -> None:
    data = bytearray(store.get(key))
    data[position] ^= 1
    store.put(key, bytes(data))


def test_what_was_written_is_read(store: ObjectStore, ref: str) -> None:
    manifest = artifacts.manifest(store, ref)
    assert (manifest["documents"], manifest["name"]) == (2, "été")
    assert manifest["files"]["a.txt"]["size"] == 11
    assert artifacts.read(store, ref, "a.txt") == b"from memory"
    assert artifacts.read(store, ref, "sub/b.txt") == b"from a file"


def test_the_reference_is_the_manifests_digest(store: ObjectStore, ref: str) -> None:
    data = store.get(f"{ref}/manifest.json")
    assert ref == f"{NAME}/{canonical.digest(data)}"
    assert data == canonical.dumps(json.loads(data))


def test_equal_content_has_an_equal_reference(store: ObjectStore, ref: str) -> None:
    files: dict[str, bytes | Path] = {"sub/b.txt": b"from a file", "a.txt": b"from memory"}
    assert artifacts.write(store, NAME, files, {"name": "été", "documents": 2}) == ref
    assert artifacts.write(store, NAME, files, {"name": "été", "documents": 3}) != ref


def test_writing_again_repairs(store: ObjectStore, ref: str) -> None:
    flip(store, f"{ref}/a.txt")
    artifacts.write(
        store, NAME, {"a.txt": b"from memory", "sub/b.txt": b"from a file"}, {"name": "été", "documents": 2}
    )
    assert artifacts.read(store, ref, "a.txt") == b"from memory"


@pytest.mark.parametrize("position", [0, 5, -1])
@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("manifest.json", lambda s, r, p: artifacts.manifest(s, r)),
        ("manifest.json", lambda s, r, p: artifacts.read(s, r, "a.txt")),
        ("manifest.json", lambda s, r, p: artifacts.download(s, r, p / "copy")),
        ("a.txt", lambda s, r, p: artifacts.read(s, r, "a.txt")),
        ("a.txt", lambda s, r, p: artifacts.download(s, r, p / "copy")),
        ("sub/b.txt", lambda s, r, p: artifacts.download(s, r, p / "copy")),
    ],
    ids=["manifest", "manifest at read", "manifest at download", "file at read", "file at download", "second file"],
)
def test_a_flipped_bit_is_found(
    store: ObjectStore,
    ref: str,
    tmp_path: Path,
    name: str,
    position: int,
    read: Callable[[ObjectStore, str, Path], object],
) -> None:
    flip(store, f"{ref}/{name}", position)
    with pytest.raises(IntegrityError, match=f"{ref}/{name}"):
        read(store, ref, tmp_path)
    assert not (tmp_path / "copy").exists()


def test_a_flipped_bit_in_a_json_object_is_found(store: ObjectStore) -> None:
    ref = artifacts.write_json(store, "evaluations", {"n": 10, "suites": {"cloze": 0.5}})
    assert artifacts.read_json(store, ref) == {"n": 10, "suites": {"cloze": 0.5}}
    flip(store, f"{ref}.json", 3)
    with pytest.raises(IntegrityError, match=f"{ref}.json"):
        artifacts.read_json(store, ref)


def test_a_file_that_is_gone_is_damage(store: ObjectStore, ref: str, tmp_path: Path) -> None:
    store.delete(f"{ref}/a.txt")
    with pytest.raises(IntegrityError, match=r"a\.txt is gone"):
        artifacts.read(store, ref, "a.txt")
    with pytest.raises(IntegrityError, match=r"a\.txt is gone"):
        artifacts.download(store, ref, tmp_path / "copy")


def test_absent_artifacts_and_files_are_not_found(store: ObjectStore, ref: str) -> None:
    with pytest.raises(NotFoundError):
        artifacts.manifest(store, f"checkpoints/{'0' * 64}")
    with pytest.raises(NotFoundError, match=r"has no file c\.txt; it has a\.txt, sub/b\.txt"):
        artifacts.read(store, ref, "c.txt")


@pytest.mark.parametrize("bad", ["", "latest", "checkpoints/", "checkpoints/abc", "checkpoints/" + "g" * 64, "0" * 64])
def test_what_is_not_a_reference_is_refused(folder_store: ObjectStore, bad: str) -> None:
    with pytest.raises(StoreError, match="is not a reference"):
        artifacts.manifest(folder_store, bad)


@pytest.mark.parametrize(
    "files",
    [
        None,
        "text",
        {"../outside": {"sha256": "0" * 64, "size": 1}},
        {"/etc/passwd": {"sha256": "0" * 64, "size": 1}},
        {"a": {"sha256": "short", "size": 1}},
        {"a": {"sha256": "0" * 64, "size": -1}},
    ],
)
def test_a_forged_manifest_is_refused(folder_store: ObjectStore, tmp_path: Path, files: Any) -> None:
    """Its digest is right, so only its content gives it away."""
    data = canonical.dumps({"files": files})
    ref = f"checkpoints/{canonical.digest(data)}"
    folder_store.put(f"{ref}/manifest.json", data)
    with pytest.raises(IntegrityError, match="is not a manifest"):
        artifacts.download(folder_store, ref, tmp_path / "copy")


def test_names_of_the_manifest_itself_are_refused(folder_store: ObjectStore) -> None:
    with pytest.raises(ValueError, match="names of the manifest"):
        artifacts.write(folder_store, NAME, {"manifest.json": b""}, {})
    with pytest.raises(ValueError, match="names of the manifest"):
        artifacts.write(folder_store, NAME, {}, {"files": 1})
    with pytest.raises(StoreError, match="cannot be the name"):
        artifacts.write(folder_store, NAME, {"../x": b""}, {})
    assert list(folder_store.list("")) == []


def test_a_number_that_json_lacks_is_refused(folder_store: ObjectStore) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        artifacts.write_json(folder_store, "evaluations", {"rate": float("nan")})


class TestDownload:
    def test_brings_every_file(self, store: ObjectStore, ref: str, tmp_path: Path) -> None:
        folder = artifacts.download(store, ref, tmp_path / "deep" / "copy")
        found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
        assert found == {"a.txt", "sub/b.txt"}
        assert (folder / "sub/b.txt").read_bytes() == b"from a file"
        assert [path.name for path in folder.parent.iterdir()] == ["copy"]

    def test_keeps_an_equal_folder(self, store: ObjectStore, ref: str, tmp_path: Path) -> None:
        folder = artifacts.download(store, ref, tmp_path / "copy")
        before = (folder / "a.txt").stat().st_ino
        assert artifacts.download(store, ref, tmp_path / "copy") == folder
        assert (folder / "a.txt").stat().st_ino == before

    @pytest.mark.parametrize("name", ["a.txt", "extra"])
    def test_never_touches_a_folder_with_other_content(
        self, store: ObjectStore, ref: str, tmp_path: Path, name: str
    ) -> None:
        folder = artifacts.download(store, ref, tmp_path / "copy")
        (folder / name).write_bytes(b"mine")
        with pytest.raises(StoreError, match="holds something else"):
            artifacts.download(store, ref, folder)
        assert (folder / name).read_bytes() == b"mine"

    def test_fills_an_empty_folder(self, store: ObjectStore, ref: str, tmp_path: Path) -> None:
        (tmp_path / "copy").mkdir()
        assert (artifacts.download(store, ref, tmp_path / "copy") / "a.txt").exists()


class TestNames:
    def test_tags(self, store: ObjectStore, ref: str) -> None:
        other = artifacts.write(store, NAME, {}, {"documents": 3})
        for tag, target in (("latest", ref), ("v1", ref), ("latest", other)):
            artifacts.tag(store, NAME, tag, target.rpartition("/")[2])
        assert artifacts.resolve(store, NAME) == other
        assert artifacts.resolve(store, f"{NAME}@latest") == other
        assert artifacts.resolve(store, f"{NAME}@v1") == ref

    def test_whole_and_shortened_references(self, store: ObjectStore, ref: str) -> None:
        evaluation = artifacts.write_json(store, "evaluations", {"n": 1})
        for whole in (ref, evaluation):
            assert artifacts.resolve(store, whole) == whole
            assert artifacts.resolve(store, whole[: -64 + 8]) == whole

    def test_shortened_too_much(self, folder_store: ObjectStore) -> None:
        for digest in ("abcd" + "0" * 60, "abcd" + "1" * 60):
            folder_store.put(f"checkpoints/{digest}/manifest.json", b"{}")
        with pytest.raises(NotFoundError, match="could be any of"):
            artifacts.resolve(folder_store, "checkpoints/abcd")
        assert artifacts.resolve(folder_store, "checkpoints/abcd0") == f"checkpoints/abcd{'0' * 60}"

    def test_what_is_absent_names_what_is_there(self, store: ObjectStore, ref: str) -> None:
        with pytest.raises(NotFoundError, match="no named datasets"):
            artifacts.resolve(store, NAME)
        artifacts.tag(store, NAME, "v1", ref.rpartition("/")[2])
        with pytest.raises(NotFoundError, match="Tags there: v1"):
            artifacts.resolve(store, NAME)
        with pytest.raises(NotFoundError, match="There are: datasets/facts"):
            artifacts.resolve(store, "datasets/fact")
        with pytest.raises(NotFoundError):
            artifacts.resolve(store, f"{NAME}/{'0' * 64}")

    def test_a_tag_never_points_at_nothing(self, store: ObjectStore) -> None:
        with pytest.raises(NotFoundError, match="cannot be tagged"):
            artifacts.tag(store, NAME, "latest", "0" * 64)
        assert list(store.list("")) == []

    @pytest.mark.parametrize("tag", ["", "a/b", "..", "a b", "-x"])
    def test_tags_are_plain_names(self, folder_store: ObjectStore, tag: str) -> None:
        with pytest.raises(StoreError, match="cannot be a tag"):
            artifacts.tag(folder_store, NAME, tag, "0" * 64)

    @pytest.mark.parametrize("position", [0, 30, 63])
    def test_a_flipped_bit_in_a_tag_is_found(self, store: ObjectStore, ref: str, position: int) -> None:
        artifacts.tag(store, NAME, "latest", ref.rpartition("/")[2])
        flip(store, f"{NAME}/tags/latest", position)
        with pytest.raises(IntegrityError, match="tags/latest"):
            artifacts.resolve(store, NAME)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    files=st.dictionaries(st.from_regex(r"[a-z]{1,8}\.bin", fullmatch=True), st.binary(max_size=64), max_size=4),
    fields=st.dictionaries(
        st.text(max_size=8).filter(lambda name: name != "files"),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
            max_leaves=5,
        ),
        max_size=4,
    ),
)
def test_any_content_comes_back(
    folder_store: ObjectStore, files: dict[str, bytes | Path], fields: dict[str, Any]
) -> None:
    ref = artifacts.write(folder_store, "checkpoints", files, fields)
    manifest = artifacts.manifest(folder_store, ref)
    assert {name: artifacts.read(folder_store, ref, name) for name in files} == files
    assert {**fields, "files": manifest["files"]} == manifest
