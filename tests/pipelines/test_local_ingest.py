"""The pipeline `ingest_sharded`, run for real in a file of its own: another worker can take it meanwhile."""

from __future__ import annotations

from typing import Any

import pytest

from spice import stages
from spice.kubeflow import inputs
from spice.store import artifacts

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1800)]


def test_shards_make_the_version_that_one_machine_makes(fresh: Any) -> None:
    documents = fresh.documents()
    job = fresh.run("ingest_sharded", documents=documents, name="facts", shards=["1/3", "2/3", "3/3"])
    merged = job.returned("merge-shards")
    assert merged == artifacts.resolve(fresh.store, "datasets/facts")
    read = {info.key.split("/")[2] for info in fresh.store.list("shards/facts/")}
    assert len(read) == 3
    assert job.metadata("merge-shards", "dataset")["ref"] == merged
    alone = inputs.configure("smoke", fresh.settings, f"{fresh.url}-alone")
    report = stages.ingest([documents], "facts", alone, progress=lambda done, total, what: None)
    assert report.ref == merged
