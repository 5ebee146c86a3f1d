"""The store under test, once per back end."""

from __future__ import annotations

from pathlib import Path

import pytest

from spice.config import StoreConfig
from spice.store import ObjectStore, open_store


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.integration)])
def store_config(request: pytest.FixtureRequest, tmp_path: Path) -> StoreConfig:
    """The configuration of an empty store."""
    if request.param == "s3":
        return request.getfixturevalue("s3_store_config")
    return StoreConfig(url=str(tmp_path / "store"))


@pytest.fixture
def store(store_config: StoreConfig) -> ObjectStore:
    """An empty store."""
    return open_store(store_config)
