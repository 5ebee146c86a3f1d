"""What the stages promise beyond the packages they call."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")

from spice import stages
from spice.settings import resolve
from spice.store import artifacts, open_store

REPO = Path(__file__).parents[2]


def test_the_version_ingested_last_goes_by_the_name_alone(tmp_path: Path) -> None:
    config = resolve("smoke", sets=[f"store.url={tmp_path}"]).config
    files = sorted((REPO / "examples/factbook").glob("a*.md"))
    for chosen in (files, files[1:]):
        ref = stages.ingest(chosen, "facts", config, progress=lambda *_: None).ref
        assert artifacts.resolve(open_store(config.store), "datasets/facts") == ref
