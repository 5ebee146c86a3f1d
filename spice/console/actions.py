"""What people do in the console: each action goes through `spice.promotion`, which verifies, signs and enters it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from spice.config import PromotionConfig
from spice.console.identity import Person
from spice.console.words import short
from spice.errors import RefusedError
from spice.promotion import approval, release, switch
from spice.store.base import ObjectStore
from spice.trust.ledger import Clock
from spice.trust.principal import Role
from spice.trust.signing import Signer

SignerFor = Callable[[Person], Signer]


class ForbiddenError(RefusedError):
    """Refused because the person lacks the role."""


@dataclass(frozen=True)
class Actions:
    """The actions of one console. Each returns what was done as a sentence, and raises `RefusedError` with the reason.

    Attributes:
        store: whose releases.
        config: how many approvals are needed and how long they count.
        signer_for: whose key signs for a person.
        clock: dates the entries.
    """

    store: ObjectStore
    config: PromotionConfig
    signer_for: SignerFor
    clock: Clock

    def approve(self, person: Person, request: str, reason: str) -> str:
        """Approve a request."""
        with _Needs(person, "approver"):
            said = approval.approve(
                self.store, request, self.signer_for(person), self.config.approval_hours, self.clock, reason=reason
            )
        return f"You approved {short(request)}. Your approval counts until {said.expires:%Y-%m-%d %H:%M} UTC."

    def reject(self, person: Person, request: str, reason: str) -> str:
        """Reject a request, for good."""
        with _Needs(person, "approver"):
            hours = self.config.approval_hours
            signer = self.signer_for(person)
            approval.approve(self.store, request, signer, hours, self.clock, reject=True, reason=_given(reason))
        return f"You rejected {short(request)}. That is final for this checkpoint on this evidence."

    def promote(self, person: Person, request: str) -> str:
        """Make an approved candidate live."""
        with _Needs(person, "releaser"):
            found = release.promote(self.store, request, self.signer_for(person), self.config, self.clock)
        return f"{short(found.live)} is live now."

    def rollback(self, person: Person, seen: str, reason: str) -> str:
        """Go back to the release before `seen`, which the person saw as live."""
        with _Needs(person, "releaser"):
            live = switch.status(self.store).live
            if live != seen:
                raise RefusedError(
                    f"You saw {short(seen)} as live, but {short(live) or 'nothing'} is now. Look, and decide again."
                )
            found = release.rollback(self.store, self.signer_for(person), self.clock, reason=_given(reason))
        return f"Rolled back: {short(found.live) or 'nothing'} is live now."

    def engage(self, person: Person, reason: str) -> str:
        """Engage the kill-switch."""
        with _Needs(person, "operator"):
            # Nobody is kept from stopping because they did not say why.
            found = switch.engage(self.store, self.signer_for(person), reason.strip() or "no reason given", self.clock)
        return f"The kill-switch is engaged. {found.problem}".rstrip()

    def release(self, person: Person, reason: str) -> str:
        """Agree to release the kill-switch."""
        with _Needs(person, "operator"):
            found = switch.release(self.store, self.signer_for(person), _given(reason), self.clock)
        if found.engaged:
            return f"You agreed to release the kill-switch. A second operator must agree, too. {found.problem}".rstrip()
        return "The kill-switch is released. What it revoked stays revoked."


class _Needs:
    """Turns a refusal into `ForbiddenError` where the person lacks the role that the action needs."""

    def __init__(self, person: Person, role: Role) -> None:
        self._lacks = role not in person.roles

    def __enter__(self) -> None:
        """Nothing is checked before: `spice.promotion` refuses, and enters the refusal into the ledger."""

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if self._lacks and isinstance(error, RefusedError):
            raise ForbiddenError(str(error)) from error


def _given(reason: str) -> str:
    if not reason.strip():
        raise RefusedError("Say why: whoever reads the ledger later has only your word.")
    return reason
