"""The gateway follows a store in S3 as it follows one in a folder."""

from __future__ import annotations

import json

import pytest

from spice.store import open_store

pytestmark = [pytest.mark.integration, pytest.mark.torch]


def test_a_store_in_s3_is_followed(world, tiny_folder, s3_store_config, start) -> None:
    there = type(world)(open_store(s3_store_config), tiny_folder)
    one = there.released("one")
    gateway = start(there.store)
    gateway.until(gateway.ready)
    two = there.released("two")
    gateway.until(lambda: gateway.release() == two)
    body = {"model": "spice", "prompt": "a", "stream": True, "ignore_eos": True}
    with gateway.client.stream("POST", "/v1/completions", json=body) as stream:
        lines = stream.iter_lines()
        next(lines)
        there.engage()
        *_, last = [line for line in lines if line]
    assert json.loads(last.removeprefix("data: "))["error"]["code"] == "release_revoked"
    assert gateway.release() == one
