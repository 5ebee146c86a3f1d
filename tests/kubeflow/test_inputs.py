"""What the fields of a form mean."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from spice.config import StoreConfig
from spice.errors import ConfigError, CorpusError, RefusedError
from spice.kubeflow import inputs
from spice.store import ObjectStore, open_store
from spice.trust.enrol import enrol
from spice.trust.keyring import ROLES
from spice.trust.keys import create_signer


def clock() -> datetime:
    return datetime(2026, 1, 1, tzinfo=UTC)


def test_an_empty_store_is_the_one_that_the_environment_names() -> None:
    environ = {"SPICE_STORE__URL": "s3://spice", "SPICE_STORE__ENDPOINT": "minio:9000", "SPICE_STORE__REGION": ""}
    assert inputs.configure("smoke", [], "", environ).store.url == "s3://spice"
    found = inputs.configure("smoke", ["training.iterations=9"], "s3://other", environ)
    assert (found.store.url, found.store.endpoint, found.training.iterations) == ("s3://other", "minio:9000", 9)


def test_a_mistake_in_the_form_names_the_nearest_setting() -> None:
    with pytest.raises(ConfigError, match=r"training\.iterations"):
        inputs.configure("smoke", ["training.iteration=9"], "", {})


@pytest.mark.parametrize(
    ("run", "recipe", "expected"),
    [
        ("", "", "facts-01234567"),
        ("mine", "", "mine"),
        ("", "no_corpus", "facts-01234567-no-corpus"),
        ("mine", "no_corpus", "mine-no-corpus"),
    ],
)
def test_names_of_runs(run: str, recipe: str, expected: str) -> None:
    assert inputs.run_name(run, "facts", "01234567-89ab-cdef", recipe) == expected


@pytest.mark.parametrize(("run", "dataset"), [("a/b", "facts"), ("../x", "facts"), ("my run", "facts"), ("", "a b")])
def test_what_cannot_name_a_run_is_refused(run: str, dataset: str) -> None:
    with pytest.raises(ConfigError, match="no name for a run"):
        inputs.run_name(run, dataset, "01234567-89ab-cdef")


def test_a_folder_is_taken_as_it_is(tmp_path: Path) -> None:
    config = inputs.configure("smoke", [], str(tmp_path / "store"), {})
    with inputs.documents(str(tmp_path), config) as folder:
        assert folder == tmp_path


@pytest.mark.integration
def test_a_bucket_is_copied_for_as_long_as_it_is_read(s3_store_config: StoreConfig) -> None:
    config = inputs.configure("smoke", [], "", {}).model_copy(update={"store": s3_store_config})
    bucket = open_store(s3_store_config)
    bucket.put("2026/minutes.md", b"# Minutes")
    bucket.put("notes.txt", b"notes")
    with inputs.documents(s3_store_config.url, config) as folder:
        found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert found == {"2026/minutes.md": b"# Minutes", "notes.txt": b"notes"}
    assert not folder.exists()
    with pytest.raises(CorpusError, match="no object"), inputs.documents(f"{s3_store_config.url}/nowhere", config):
        pass


@pytest.fixture
def mounted(store: ObjectStore, tmp_path: Path) -> Path:
    """A Secret as Kubernetes mounts it: readable by the pod's group."""
    folder = tmp_path / "mounted"
    enrol(store, create_signer("pipeline", folder), ROLES, clock)
    (folder / "pipeline.pem").chmod(0o640)
    return folder


def test_a_mounted_key_signs_although_the_pods_group_can_read_it(store: ObjectStore, mounted: Path) -> None:
    with inputs.signer(store, "pipeline", clock, mounted) as signer:
        assert signer.name == "pipeline"


def test_a_mounted_key_that_is_not_registered_does_not(store: ObjectStore, mounted: Path) -> None:
    shutil.copy(mounted / "pipeline.pem", mounted / "nobody.pem")
    with pytest.raises(RefusedError, match="nobody"), inputs.signer(store, "nobody", clock, mounted):
        pass


def test_without_a_mounted_key_the_users_own_is_taken(
    store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPICE_HOME", str(tmp_path / "home"))
    with inputs.signer(store, "local", clock, tmp_path / "nothing") as signer:
        assert signer.name == "local"
    with pytest.raises(ConfigError, match="Nobody is named"), inputs.signer(store, "", clock, tmp_path):
        pass
