"""Whether somebody may do something, and if not, why, in words.

This is what pages say beforehand; the answer that counts is that of `spice.promotion`.
"""

from __future__ import annotations

from dataclasses import dataclass

from spice.console.identity import Person
from spice.console.records import RequestDetail, Switch
from spice.trust.principal import Role


@dataclass(frozen=True)
class Choices:
    """Why each action on a request is not open to a person; empty where it is."""

    approve: str
    reject: str
    promote: str


def on_request(person: Person | None, found: RequestDetail, switch: Switch) -> Choices:
    """What `person` may do with a request."""
    if found.state not in ("waiting", "approved"):
        settled = f"This request is settled: {found.state}."
        return Choices(settled, settled, settled)
    approve = lacks(person, "approver")
    reject = approve
    promote = lacks(person, "releaser")
    if person is not None and not approve:
        if person.name == found.requester:
            approve = "You asked for this release, so another person must approve it."
        elif person.name in found.approvers:
            approve = "You approved it already."
    if not promote:
        if switch.engaged:
            promote = "Nothing can go live while the kill-switch is engaged."
        elif found.state == "waiting":
            promote = "Approvals are missing."
    return Choices(approve, reject, promote)


def lacks(person: Person | None, role: Role) -> str:
    """Why somebody may not act as `role`; empty if they may."""
    if person is None:
        return f"Log in as somebody with the role {role}."
    if role not in person.roles:
        return f"You are {', '.join(person.roles) or 'nobody'} here; this needs the role {role}."
    return ""
