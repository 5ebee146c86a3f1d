from __future__ import annotations

import json

import pytest

from spice.errors import ConfigError, IntegrityError, NotFoundError, RefusedError
from spice.serving import apikeys
from spice.serving.errors import GatewayError
from spice.store.canonical import dumps

pytestmark = [pytest.mark.integration, pytest.mark.torch]

ROUTES = [
    ("GET", "/v1/models", "models"),
    ("POST", "/v1/completions", "generate"),
    ("POST", "/v1/chat/completions", "generate"),
    ("GET", "/metrics", "metrics"),
]


@pytest.fixture
def gateway(world, start):
    world.released("one")
    gateway = start(world.store, world.key("models"), public_metrics=False)
    gateway.until(gateway.ready)
    gateway.until(lambda: gateway.client.get("/v1/models").status_code == 200)
    return gateway


def status(gateway, method: str, path: str, token: str | None) -> int:
    headers = {"authorization": token if token is not None else ""}
    asked = {"messages": [{"role": "user", "content": "a"}]} if "chat" in path else {"prompt": "a"}
    body = {"model": "spice", "max_tokens": 1, **asked}
    return gateway.client.request(method, path, headers=headers, json=body if method == "POST" else None).status_code


def test_every_route_without_with_a_wrong_and_with_the_right_key(world, gateway) -> None:
    keys = {scope: world.key(scope) for scope in apikeys.SCOPES}
    expired = world.key(days=-1)
    known = f"Bearer {keys['generate']}"
    gateway.until(lambda: status(gateway, "POST", "/v1/completions", known) == 200)
    forged = keys["generate"][:-1] + ("a" if keys["generate"][-1] != "a" else "b")
    stranger = f"spice-{'0' * 12}-{'a' * 43}"
    for method, path, scope in ROUTES:
        for token in (
            None,
            "",
            "Bearer",
            "Bearer x",
            f"Basic {keys[scope]}",
            *(f"Bearer {k}" for k in (forged, stranger, expired)),
        ):
            assert status(gateway, method, path, token) == 401, (path, token)
        for other, key in keys.items():
            assert status(gateway, method, path, f"Bearer {key}") == (200 if other == scope else 403), (path, other)
    for path in ("/healthz", "/readyz"):
        assert status(gateway, "GET", path, None) == 200


def test_a_revoked_key_opens_nothing(world, gateway) -> None:
    key = world.key("generate")
    gateway.until(lambda: status(gateway, "POST", "/v1/completions", f"Bearer {key}") == 200)
    for _ in range(2):
        apikeys.revoke(world.store, world.people["root"], key.split("-")[1], world.now)
    gateway.until(lambda: status(gateway, "POST", "/v1/completions", f"Bearer {key}") == 401)


def test_the_store_holds_no_key(world) -> None:
    key = world.key("generate")
    data = b"".join(world.store.get(info.key) for info in world.store.list(""))
    assert key.split("-")[1].encode() in data
    assert key.split("-", 2)[2].encode() not in data


@pytest.mark.parametrize("name", ["lena", "otto"])
def test_only_an_admin_makes_and_revokes_keys(world, name: str) -> None:
    key = world.key()
    with pytest.raises(RefusedError, match="admin"):
        apikeys.add(world.store, world.people[name], "x", ["generate"], world.now)
    with pytest.raises(RefusedError, match="admin"):
        apikeys.revoke(world.store, world.people[name], key.split("-")[1], world.now)
    assert list(apikeys.read(world.store).usable) == [key.split("-")[1]]


@pytest.mark.parametrize(("owner", "scopes"), [("", ["generate"]), ("x", ["everything"]), ("x", [])])
def test_a_key_needs_an_owner_and_scopes(world, owner: str, scopes: list[str]) -> None:
    with pytest.raises(ConfigError, match="generate, models, metrics"):
        apikeys.add(world.store, world.people["root"], owner, scopes, world.now)


def test_revoking_what_is_not_there_is_told(world) -> None:
    with pytest.raises(NotFoundError, match="spice serve keys list"):
        apikeys.revoke(world.store, world.people["root"], "0" * 12, world.now)


def test_an_entry_that_was_changed_opens_nothing(world) -> None:
    """Whoever can write to the store cannot widen a key, or let another in."""
    world.key("models")
    [*_, last] = world.store.list("ledger/")
    entry = json.loads(world.store.get(last.key))
    for change in ({"scopes": ["generate", "models"]}, {"sha256": "0" * 64}):
        world.store.put(last.key, dumps({**entry, "body": {**entry["body"], **change}}))
        with pytest.raises(IntegrityError, match=f"entry {entry['sequence']}"):
            apikeys.read(world.store)


def test_a_key_ends_with_its_days(world) -> None:
    key, token = apikeys.add(world.store, world.people["root"], "x", ["models"], world.now, days=1)
    bearer = f"Bearer {token}"
    assert apikeys.check({key.id: key}, bearer, "models", world.now) == key
    with pytest.raises(GatewayError, match="No valid API key"):
        apikeys.check({key.id: key}, bearer, "models", lambda: key.expires)
