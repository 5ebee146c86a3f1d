"""Promote and roll back: the ledger entry first, then the pointer; each refusal says why and is entered too."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from spice.config import PromotionConfig
from spice.errors import RefusedError
from spice.promotion import approval, checkpoint, gate, switchflag
from spice.promotion import request as requests
from spice.promotion.gate import Decision
from spice.promotion.log import ReleaseLog
from spice.promotion.request import Request
from spice.store.base import ObjectStore
from spice.trust.ledger import Clock, Draft
from spice.trust.signing import Signer


@dataclass(frozen=True)
class Status:
    """What is live.

    Attributes:
        live: the checkpoint that may be served, or `None`.
        previous: the release before it, or `None`.
        engaged: whether the kill-switch is engaged.
        sequence: the ledger entry that made it so, or -1.
        entries: length of the ledger.
    """

    live: str | None
    previous: str | None
    engaged: bool
    sequence: int
    entries: int


def promote(store: ObjectStore, ref: str, signer: Signer, config: PromotionConfig, clock: Clock) -> Status:
    """Make the candidate of the request `ref` live. Doing it again changes nothing.

    Verifies, and trusts nothing it cannot: the request, the gate's decision (made again from the evidence in the
    store), the approvals, the checkpoint, and that the switch is not engaged - the last also on the complete history
    at the moment of entering the ledger, and once more after the pointer has moved.

    Raises:
        RefusedError: with the reason; the refusal is in the ledger.
        IntegrityError: the ledger is not what was written.
        StoreError: the store failed; promote again to complete or to learn that it was not released.
    """
    log = ReleaseLog(store)
    with log.refusals_recorded(signer, clock, "promote", ref):
        log.keyring.require(signer, "releaser")
        wanted = requests.load(log, ref, pending=True)
        if not _done(log, ref, wanted):
            decision, approvers = _verify(log, ref, wanted, config, clock().astimezone(UTC))
            body = {
                "request": ref,
                "evaluation": wanted.evaluation,
                "decision": wanted.decision,
                "policy": decision.policy_digest,
                "requester": wanted.requester,
                "approvers": list(approvers),
                "replaces": wanted.replaces,
                "live": wanted.candidate,
            }

            def decide() -> Draft | None:
                if _done(log, ref, wanted):
                    return None
                _require_releasable(log, wanted)
                return Draft("release", wanted.candidate, body)

            log.append(signer, clock, decide)
        pointer = log.project()
        if pointer.live != wanted.candidate:
            raise RefusedError(
                f"{wanted.candidate} was entered as released, but the kill-switch was engaged or another release made "
                f"in the same moment; live is {pointer.live or 'nothing'}."
            )
        return status(log)


def verify(store: ObjectStore, ref: str, config: PromotionConfig, clock: Clock) -> tuple[str, ...]:
    """Who approved the request `ref`, if `promote` would make its candidate live now. Changes nothing, needs no key.

    Raises:
        RefusedError: it would not, with the reason.
    """
    log = ReleaseLog(store)
    return _verify(log, ref, requests.load(log, ref, pending=True), config, clock().astimezone(UTC))[1]


def rollback(store: ObjectStore, signer: Signer, clock: Clock, to: str | None = None, reason: str = "") -> Status:
    """Go back to the release before the live one, or to the earlier release `to`. Works while the switch is engaged.

    Raises:
        RefusedError: there is nothing to go back to, `to` was never released or is revoked, or the signer may not.
    """
    log = ReleaseLog(store)
    with log.refusals_recorded(signer, clock, "rollback", to or ""):
        log.keyring.require(signer, "releaser")
        found = log.state.live
        if found is None and to is None:
            raise RefusedError("Nothing is live, so there is nothing to roll back.")

        def decide() -> Draft | None:
            if log.unrecorded(switchflag.read(store)):
                raise RefusedError(
                    "The kill-switch was engaged and that is not in the ledger yet. Complete it first: "
                    "`spice kill engage` again."
                )
            if log.state.live != found:
                raise RefusedError("Someone else changed what is live in the same moment. Look, and decide again.")
            if to == found:
                return None
            if to is not None and to not in log.state.good:
                raise RefusedError(f"{to} is no earlier release in good standing. `spice ledger show` lists them.")
            target = to or (log.state.releases[-2] if len(log.state.releases) > 1 else None)
            return Draft("rollback", found or "", {"live": target, "reason": reason})

        log.append(signer, clock, decide)
        log.project()
        return status(log)


def recover(store: ObjectStore) -> Status:
    """Complete what a crash left undone: bring the pointer in line with the ledger. Needs no key.

    A pointer that is damaged is written anew, too. Whoever asks for that has made sure that the ledger is whole.
    """
    log = ReleaseLog(store, repairing=True)
    log.project()
    return status(log)


def status(log: ReleaseLog) -> Status:
    """What is live by the ledger and the switch, whatever the pointer says."""
    releases = log.effective()
    return Status(
        live=releases[-1] if releases else None,
        previous=releases[-2] if len(releases) > 1 else None,
        engaged=log.engaged(),
        sequence=log.state.sequence,
        entries=log.length,
    )


def _done(log: ReleaseLog, ref: str, wanted: Request) -> bool:
    """Whether this request led to what is live; one that led to an earlier release is refused."""
    if ref not in log.state.used:
        return False
    if log.state.live == wanted.candidate:
        return True
    raise RefusedError(
        f"{ref} led to a release at ledger entry {log.state.used[ref]}, which is live no more. "
        f"`spice rollback --to {wanted.candidate}` goes back to it if it is in good standing."
    )


def _verify(
    log: ReleaseLog, ref: str, wanted: Request, config: PromotionConfig, now: datetime
) -> tuple[Decision, tuple[str, ...]]:
    """Everything that does not change with the ledger's end; returns the gate's decision and who approved."""
    _require_releasable(log, wanted)
    decision = gate.load(log.store, wanted.decision, log.keyring, pending=True)
    if any(
        getattr(decision.facts, n) != getattr(wanted, n) for n in ("candidate", "base", "corpus", "run", "evaluation")
    ):
        raise RefusedError(f"{ref} and the decision it rests on speak of different things.")
    gate.confirm(log.store, decision, config)
    found = approval.count(log, ref, wanted, config.approval_hours, now)
    if found.rejections:
        raise RefusedError(f"{', '.join(found.rejections)} rejected this request. A rejection is final.")
    if missing := approval.shortfall(found, config):
        raise RefusedError(
            f"{missing} Someone other than {wanted.requester} with the role approver runs "
            f"`spice approve {ref} --as NAME`. " + " ".join(found.problems)
        )
    checkpoint.verify(log, wanted.candidate, pending=True)
    return decision, found.approvers


def _require_releasable(log: ReleaseLog, wanted: Request) -> None:
    """What may change while we look: the switch, rejections, revocations, and what the candidate would replace."""
    log.require_disengaged()
    requests.refuse_hopeless(log, wanted)
    if log.state.live != wanted.replaces:
        raise RefusedError(
            f"This request was made to replace {wanted.replaces or 'nothing'}, but live is "
            f"{log.state.live or 'nothing'} now. Request again, so that people approve what really happens."
        )
