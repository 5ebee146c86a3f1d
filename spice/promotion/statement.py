"""The gate's decision as an in-toto statement: a Simple Verification Result about the candidate.

https://github.com/in-toto/attestation/blob/main/spec/predicates/svr.md, with
one extension field for what the predicate has no words for: outcome, reasons
and facts. Whoever only knows in-toto reads that the property was verified.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from spice.errors import RefusedError
from spice.store.canonical import dumps
from spice.trust.signing import Hex64

VERIFIER: Final = "urn:spice:gate:v1"
PASSED = "SPICE_GATE_PASSED"
_STATEMENT: Final = "https://in-toto.io/Statement/v1"
_SVR: Final = "https://in-toto.io/attestation/svr/v0.1"


class _Part(BaseModel):
    """Unrecognised fields are ignored, as in-toto asks."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


class Digest(_Part):
    """Digests of a resource."""

    sha256: Hex64


class Resource(_Part):
    """Something outside of the statement, by digest."""

    name: str
    digest: Digest


class Verifier(_Part):
    """Who verified, and by which policies."""

    id: Literal["urn:spice:gate:v1"] = VERIFIER
    policy: tuple[Resource, ...] = ()


class Predicate(_Part):
    """The Simple Verification Result."""

    verifier: Verifier
    time_created: datetime = Field(alias="timeCreated")
    properties: tuple[str, ...]
    decision: dict[str, Any] = Field(alias="urn:spice:decision:v1")


class Statement(_Part):
    """The in-toto statement."""

    type: Literal["https://in-toto.io/Statement/v1"] = Field(_STATEMENT, alias="_type")
    subject: tuple[Resource, ...] = Field(min_length=1, max_length=1)
    predicate_type: Literal["https://in-toto.io/attestation/svr/v0.1"] = Field(_SVR, alias="predicateType")
    predicate: Predicate


def write(statement: Statement) -> bytes:
    """The statement as canonical JSON."""
    return dumps(statement.model_dump(mode="json", by_alias=True))


def read(payload: bytes) -> Statement:
    """A statement that `write` wrote. Raises `RefusedError`."""
    try:
        return Statement.model_validate(json.loads(payload))
    except (ValueError, ValidationError) as error:
        raise RefusedError(f"This is no in-toto statement of the gate: {error}") from error


def resource(ref: str, digest: str) -> Resource:
    """A reference with the digest of what it names."""
    return Resource(name=ref, digest=Digest(sha256=digest))
