"""A bucket is made as the guardrails want it, and roles may do what their policy says."""

from __future__ import annotations

import fnmatch
import json
from typing import Any

import pytest
from typer.testing import CliRunner

from spice import cli
from spice.config import StoreConfig
from spice.errors import StoreError
from spice.store import open_store
from spice.store.policies import ROLES, policy
from spice.store.s3 import S3Store


def may(role: str, action: str, key: str, prefix: str = "") -> bool:
    """Whether the policy of a role allows an action on a key, as S3 services match it."""
    statements: list[Any] = policy(role, "spice", prefix)["Statement"]  # type: ignore[assignment]
    return any(
        action in statement["Action"] and fnmatch.fnmatchcase(f"arn:aws:s3:::spice/{prefix}{key}", resource)
        for statement in statements
        for resource in statement["Resource"]
    )


@pytest.mark.parametrize(
    ("role", "action", "key", "allowed"),
    [
        ("train", "s3:PutObject", "checkpoints/1/model.safetensors", True),
        ("train", "s3:GetObject", "switch.json", True),
        ("train", "s3:GetObject", "evaluations/1.json", False),
        ("train", "s3:PutObject", "evaluations/1.json", False),
        ("train", "s3:PutObject", "ledger/000001.json", False),
        ("train", "s3:DeleteObject", "runs/a/resume/1/state", True),
        ("train", "s3:DeleteObject", "runs/a/run.json", False),
        ("evaluate", "s3:PutObject", "evaluations/1.json", True),
        ("evaluate", "s3:PutObject", "checkpoints/1/model.safetensors", False),
        ("evaluate", "s3:PutObject", "runs/a/run.json", False),
        ("request", "s3:PutObject", "requests/1.json", True),
        ("request", "s3:PutObject", "release.json", False),
        ("promote", "s3:PutObject", "release.json", True),
        ("promote", "s3:PutObject", "evaluations/1.json", False),
        ("gateway", "s3:PutObject", "release.json", False),
        ("gateway", "s3:GetObject", "datasets/a/1/manifest.json", False),
        ("switch", "s3:PutObject", "switch.json", False),
        ("exporter", "s3:PutObject", "runs/a/run.json", False),
        ("ingest", "s3:PutObject", "checkpoints/1/model.safetensors", False),
    ],
)
@pytest.mark.parametrize("prefix", ["", "red/"])
def test_policies(role: str, action: str, key: str, allowed: bool, prefix: str) -> None:
    assert may(role, action, key, prefix) is allowed


def test_only_those_who_govern_releases_write_what_is_live() -> None:
    writers = {role for role in ROLES if may(role, "s3:PutObject", "ledger/1.json")}
    assert writers == {"request", "promote", "console", "erase"}
    assert {role for role in ROLES if may(role, "s3:PutObject", "release.json")} == {"promote", "console"}
    assert {role for role in ROLES if may(role, "s3:PutObject", "switch.json")} == {"console"}
    assert {role for role in ROLES if may(role, "s3:DeleteObject", "ledger/1.json")} == set()


def test_no_role_reads_another_tenants_prefix() -> None:
    for role in ROLES:
        for statement in policy(role, "spice", "red/")["Statement"]:  # type: ignore[union-attr]
            resources = statement["Resource"]  # type: ignore[index,call-overload]
            if statement["Action"] not in (["s3:GetBucketLocation"], ["s3:ListBucket"]):  # type: ignore[index,call-overload]
                assert all(each.startswith("arn:aws:s3:::spice/red/") for each in resources)  # type: ignore[union-attr]


@pytest.mark.integration
def test_a_new_bucket_keeps_and_locks_versions(s3_store_config: StoreConfig) -> None:
    config = s3_store_config.model_copy(update={"url": "s3://spice-setup-new/a"})
    store = open_store(config)
    assert isinstance(store, S3Store)
    made = store.prepare(lock_days=2)
    assert (made.made, made.versioning, made.lock_days) == (True, True, 2)
    again = store.prepare(lock_days=1)
    assert (again.made, again.versioning, again.lock_days) == (False, True, 2)
    assert store.keeps_versions()


@pytest.mark.integration
def test_a_bucket_that_cannot_be_locked_is_refused_and_left_alone(s3_store_config: StoreConfig) -> None:
    store = open_store(s3_store_config.model_copy(update={"url": "s3://spice-setup-plain"}))
    assert isinstance(store, S3Store)
    assert store.prepare(lock_days=0).lock_days == 0
    with pytest.raises(StoreError, match="--lock-days 0"):
        store.prepare(lock_days=1)


@pytest.mark.integration
def test_the_verb(s3_store_config: StoreConfig) -> None:
    sets = [f"store.endpoint={s3_store_config.endpoint}", "store.secure=false"]
    options = [word for each in sets for word in ("--set", each)]
    command = ["store", "setup", "--store", "s3://spice-setup-verb", "--lock-days", "1", "--json", *options]
    done = CliRunner().invoke(cli.app, command)
    assert done.exit_code == 0, done.output
    assert json.loads(done.output)["lock_days"] == 1
