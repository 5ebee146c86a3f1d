"""What lies in the store about keys: records, the root, revocations."""

from __future__ import annotations

from functools import cached_property
from typing import get_args

from pydantic import BaseModel, ConfigDict, Field

from spice.trust.principal import Label, Role
from spice.trust.signing import Hex64, Hex66, fingerprint

# What a person may be. A `delegate` is a service that signs for people whom it identified, and never for itself.
ROLES: tuple[Role, ...] = tuple(role for role in get_args(Role) if role != "delegate")

ROOT = "trust/root.json"
KEYS = "trust/keys/"
REVOCATIONS = "trust/revocations/"


class PublicKey(BaseModel):
    """A registered key: its owner's name, what the owner may do, and 32 bytes in hexadecimal."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    roles: tuple[Role, ...] = Field(min_length=1)
    public_key: Hex64
    checkpoint_key: Hex66 | None = Field(None, description="P-256 point for the owner's checkpoint signatures")
    groups: tuple[Label, ...] = Field((), description="groups of the organisation that the owner is in")
    identities: tuple[Label, ...] = Field((), description="what identity providers call the owner: the same person")

    @cached_property
    def fingerprint(self) -> str:
        """What people compare to make sure that they mean the same key."""
        return fingerprint(self.public_key)


class Root(BaseModel):
    """The store's first key."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    fingerprint: Hex64


class Revocation(BaseModel):
    """Nothing that the key signed from the ledger entry `from_entry` on counts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    fingerprint: Hex64
    from_entry: int = Field(ge=0)
    reason: str


def record_key(name: str, generation: int = 1) -> str:
    """Where the record of a person's key lies; each rotation makes the next generation."""
    return f"{KEYS}{name}.json" if generation == 1 else f"{KEYS}{name}.{generation}.json"
