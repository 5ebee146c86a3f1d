"""People who have no key of their own, and whom a service with one identified: the console acts for them.

The service's key signs. What it signs names the person, and how they were
identified, so that whoever reads it later knows whose word to doubt.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Role = Literal["admin", "requester", "approver", "releaser", "operator", "delegate"]

# No blanks or controls: it is shown, and "anna " must not be another person.
Label = Annotated[str, StringConstraints(pattern=r"^[^\s\x00-\x1f\x7f-\x9f]{1,200}$")]


class Principal(BaseModel):
    """A person as a service knows them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Label = Field(description="what the identity provider calls them, such as anna@example.org")
    method: Literal["key", "oidc", "kubernetes", "header"] = Field(
        description="how the service identified them: by a login with their own key, a token, or a proxy's word"
    )
    issuer: Label = Field(description="who vouched: a token's issuer, a proxy, the service itself")
    roles: tuple[Role, ...] = Field(min_length=1, description="what they may do by the service's own rules")
    groups: tuple[Label, ...] = Field((), description="groups of the organisation that they belong to")
