"""Names of models become folders, or errors that say what to do."""

from __future__ import annotations

import pytest

from spice.config import ModelConfig, StoreConfig
from spice.errors import IntegrityError, ModelError, StoreError
from spice.models.catalog import cache_folder, locate
from spice.store import artifacts, open_store


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SPICE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_where_the_cache_lies(monkeypatch, tmp_path):
    assert cache_folder() == tmp_path / "cache"
    monkeypatch.delenv("SPICE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "spice"


@pytest.mark.torch
def test_a_built_in_model_is_made_once(cache):
    pytest.importorskip("torch")
    folder = locate(ModelConfig(name="tiny"))
    made = (folder / "model.safetensors").stat().st_mtime_ns
    assert folder.is_relative_to(cache)
    assert locate(ModelConfig(name="tiny")) == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == made
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_a_folder_is_taken_as_it_is(tmp_path):
    assert locate(ModelConfig(name=str(tmp_path))) == tmp_path


@pytest.fixture
def checkpoint(tmp_path):
    store = open_store(StoreConfig(url=str(tmp_path / "store")))
    return store, artifacts.write(store, "checkpoints", {"config.json": b"{}"}, {"run": "r"})


def test_a_checkpoint_comes_from_the_store(checkpoint):
    store, ref = checkpoint
    folder = locate(ModelConfig(name=ref), store)
    assert (folder / "config.json").read_bytes() == b"{}"
    assert locate(ModelConfig(name=ref), store) == folder


def test_a_cached_checkpoint_that_someone_changed_is_not_used(checkpoint):
    store, ref = checkpoint
    (locate(ModelConfig(name=ref), store) / "config.json").write_bytes(b"[]")
    with pytest.raises(StoreError, match="holds something else"):
        locate(ModelConfig(name=ref), store)


def test_a_stored_checkpoint_that_someone_changed_is_not_used(checkpoint, cache):
    store, ref = checkpoint
    store.put(f"{ref}/config.json", b"[]")
    with pytest.raises(IntegrityError):
        locate(ModelConfig(name=ref), store)
    assert not list(cache.rglob("config.json"))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("checkpoints/" + "0" * 64, "none is configured"),
        ("no folder/and no/hub id", "not built in .*smollm2-135m-instruct, tiny"),
    ],
)
def test_a_name_that_names_no_model(name, message):
    pytest.importorskip("huggingface_hub")
    with pytest.raises(ModelError, match=message):
        locate(ModelConfig(name=name))
