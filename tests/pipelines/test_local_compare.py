"""The pipeline `compare`, run for real in a file of its own: another worker can take it meanwhile."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = [pytest.mark.integration, pytest.mark.torch, pytest.mark.timeout(1800)]


def test_compare_trains_every_recipe_and_ranks_them(fresh: Any) -> None:
    job = fresh.run(
        "compare",
        documents=fresh.documents(),
        recipes=["spice", "random_reward"],
        name="facts",
        run="race",
        gpus="0",
        settings=[*fresh.settings, "evaluation.cloze_items=4", "evaluation.reasoning_items=2"],
    )
    assert {"ingest", "compare"} < job.tasks
    runs = {info.key.split("/")[1] for info in fresh.store.list("runs/race")}
    assert runs == {"race-spice", "race-random-reward"}
    table = job.content("compare", "table")
    assert table.count("| cloze |") == 2
    assert job.returned("compare") in ("spice", "random_reward")
