"""The same on a real S3 service."""

from __future__ import annotations

import json
import threading

import pytest

from spice.errors import RefusedError
from spice.promotion import audit, release, switch
from spice.store import open_store


@pytest.mark.integration
def test_release_race_and_switch_on_s3(s3_store_config, world_in) -> None:
    world = world_in(open_store(s3_store_config))
    refs = [world.requested(f"candidate-{i}") for i in range(3)]
    for ref in refs:
        world.approve(ref)
    outcomes: list[object] = []

    def promote(ref: str) -> None:
        try:
            outcomes.append(world.promote(ref))
        except RefusedError as error:
            outcomes.append(error)

    threads = [threading.Thread(target=promote, args=(ref,)) for ref in refs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(isinstance(outcome, release.Status) for outcome in outcomes) == 1
    assert switch.engage(world.store, world.people["otto"], "stop", world.clock).problem == ""
    assert json.loads(world.store.get("release.json"))["live"] is None
    assert audit.verify(world.store).problems == ()
