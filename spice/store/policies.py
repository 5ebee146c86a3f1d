"""What each part of the platform may do in an S3 store: one policy document per role.

Training cannot read evaluations or write them, evaluation cannot write checkpoints, only what governs releases writes
the ledger, and nobody but the store's administrator deletes anything, save that training replaces its own state and
that a document can be erased. The policies are in the language that AWS, MinIO and other services share.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from spice.store.canonical import JSON

Policy: TypeAlias = dict[str, JSON]

_DOCUMENTS = ("datasets/", "packs/", "shards/")
_LEDGER = ("ledger/", "trust/", "release.json", "switch.json", "drill.json")
_DECIDED = ("decisions/", "index/", "policies/", "requests/", "signatures/")
_EVIDENCE = ("datasets/", "checkpoints/", "evaluations/", "drift/", "runs/", *_DECIDED, *_LEDGER)


@dataclass(frozen=True)
class Access:
    """What a role may do.

    Attributes:
        purpose: whose role it is.
        reads: keys, and beginnings of keys that end in a slash, that it may read and list.
        writes: likewise for writing; `*` stands for any text.
        deletes: likewise for deleting.
    """

    purpose: str
    reads: tuple[str, ...]
    writes: tuple[str, ...] = ()
    deletes: tuple[str, ...] = ()


ROLES = {
    "ingest": Access(
        "documents to dataset versions",
        ("documents/", *_DOCUMENTS, "checkpoints/", *_LEDGER),
        _DOCUMENTS,
        ("datasets/*/withdrawn.json",),
    ),
    "erase": Access(
        "erasing documents",
        (*_DOCUMENTS, "checkpoints/", "runs/", *_LEDGER),
        ("datasets/", "runs/*/tasks/", "ledger/"),
        ("datasets/", "packs/", "runs/*/tasks/", "runs/*/report.html"),
    ),
    "train": Access(
        "self-play",
        ("datasets/", "checkpoints/", "runs/", *_LEDGER),
        ("checkpoints/", "runs/"),
        ("runs/*/resume/",),
    ),
    "evaluate": Access(
        "measuring checkpoints, and drift",
        ("datasets/", "checkpoints/", "evaluations/", "drift/", "runs/", "traffic/"),
        ("evaluations/", "drift/", "runs/*/coevolution.json", "runs/*/report.html"),
    ),
    "request": Access("the gate, and asking for a release", _EVIDENCE, (*_DECIDED, "ledger/", "runs/")),
    "promote": Access("making releases, and going back", _EVIDENCE, ("decisions/", "ledger/", "release.json")),
    "console": Access(
        "people: approvals, releases, the kill-switch",
        _EVIDENCE,
        (*_DECIDED, "ledger/", "release.json", "switch.json"),
    ),
    "exporter": Access("metrics", _EVIDENCE),
    "gateway": Access("serving what is live", ("checkpoints/", "signatures/", *_LEDGER), ("traffic/",)),
    "switch": Access("the kill-switch's mirror in Kubernetes", _LEDGER),
}


def policy(role: str, bucket: str, prefix: str = "") -> Policy:
    """The policy document of a role.

    Args:
        role: one of `ROLES`.
        bucket: the store's bucket.
        prefix: where the store begins in it, with a slash at its end; may be empty.

    Raises:
        KeyError: there is no such role.
    """
    access = ROLES[role]
    place = f"arn:aws:s3:::{bucket}"

    def objects(keys: tuple[str, ...]) -> list[str]:
        return [f"{place}/{prefix}{_below(key)}" for key in keys]

    statements: list[JSON] = [
        _allow([place], "s3:GetBucketLocation"),
        {
            **_allow([place], "s3:ListBucket"),
            "Condition": {"StringLike": {"s3:prefix": [f"{prefix}{_below(key)}" for key in access.reads]}},
        },
        _allow(objects(access.reads), "s3:GetObject"),
    ]
    if access.writes:
        statements.append(
            _allow(objects(access.writes), "s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts")
        )
    if access.deletes:
        statements.append(_allow(objects(access.deletes), "s3:DeleteObject"))
    return {"Version": "2012-10-17", "Statement": statements}


def _allow(resources: list[str], *actions: str) -> dict[str, JSON]:
    return {"Effect": "Allow", "Action": list(actions), "Resource": resources}


def _below(key: str) -> str:
    return f"{key}*" if key.endswith("/") else key
