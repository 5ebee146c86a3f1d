"""Requests: "release this candidate in place of what is live, on this evidence", signed by whoever asks."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, ValidationError

from spice.errors import RefusedError
from spice.promotion import checkpoint, gate
from spice.promotion.log import ReleaseLog
from spice.store import artifacts
from spice.store.base import ObjectStore
from spice.trust.ledger import Clock, Draft
from spice.trust.principal import Principal
from spice.trust.signing import Signer

PREFIX = "requests"
_KIND = "request"


class Request(BaseModel):
    """What is asked for, all of it by digest: another checkpoint or report would be another request."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    candidate: str
    base: str
    corpus: str
    run: str
    evaluation: str
    decision: str
    replaces: str | None
    requester: str
    on_behalf_of: Principal | None = None


def request(store: ObjectStore, decision: str, signer: Signer, clock: Clock) -> str:
    """Ask for the release of the candidate that the stored `decision` passed; returns `requests/<digest>`.

    Asking for the same again gives the same request.

    Raises:
        RefusedError: the gate did not pass it, it was rejected on this evidence, it is revoked, or the signer may not.
    """
    log = ReleaseLog(store)
    with log.refusals_recorded(signer, clock, "request", decision):
        log.keyring.require(signer, "requester")
        judged = gate.load(store, decision, log.keyring, pending=True)
        if judged.outcome != "pass":
            raise RefusedError(
                f"The gate did not pass {judged.facts.candidate} ({judged.outcome}), so nobody is asked to approve it. "
                + " ".join(judged.reasons)
            )
        wanted = Request(
            **{name: getattr(judged.facts, name) for name in ("candidate", "base", "corpus", "run", "evaluation")},
            decision=decision,
            replaces=log.state.live,
            requester=signer.person,
            on_behalf_of=signer.principal,
        )
        refuse_hopeless(log, wanted)
        if log.state.live == wanted.candidate:
            raise RefusedError(f"{wanted.candidate} is live already.")
        signed = _signature(log, wanted.candidate, signer)
        sealed = signer.seal(_KIND, wanted.model_dump(mode="json"))
        ref = artifacts.write_json(store, PREFIX, sealed.model_dump(mode="json"))
        body = {"candidate": wanted.candidate, "evaluation": wanted.evaluation, "decision": decision, **signed}
        log.append(signer, clock, lambda: None if ref in log.state.requested else Draft("request", ref, body))
        return ref


def load(log: ReleaseLog, ref: str, *, pending: bool = False) -> Request:
    """A stored request, its digest and signature checked.

    Args:
        log: the release log.
        ref: `requests/<digest>`.
        pending: see `Keyring.accept`.

    Raises:
        RefusedError: it cannot be trusted.
    """
    payload, signer = gate.opened(log.store, ref, log.keyring, _KIND, pending=pending)
    try:
        found = Request.model_validate(payload)
    except ValidationError as error:
        raise RefusedError(f"{ref} is not a release request: {error}") from error
    who = found.on_behalf_of.name if found.on_behalf_of else signer
    if who != found.requester:
        raise RefusedError(f"{ref} names {found.requester} as requester but bears the signature of {who}.")
    return found


def refuse_hopeless(log: ReleaseLog, wanted: Request) -> None:
    """Raise `RefusedError` if the candidate was revoked, or rejected on this evidence."""
    if wanted.candidate in log.state.revoked:
        raise RefusedError(f"{wanted.candidate} was taken out by the kill-switch and can never be live again.")
    who = log.state.rejected.get((wanted.candidate, wanted.evaluation))
    if who is not None:
        raise RefusedError(
            f"{who} rejected {wanted.candidate} on the evidence {wanted.evaluation}. A rejection is final; another "
            "evaluation is needed."
        )


def _signature(log: ReleaseLog, candidate: str, signer: Signer) -> dict[str, str]:
    """The requester's signature on the checkpoint, unless somebody, such as its trainer, signed it already."""
    try:
        if checkpoint.verify(log, candidate, pending=True) != signer.name:
            return {}
    except RefusedError:
        pass  # nobody did
    made = checkpoint.make(log, candidate, signer)
    return {} if made["signature"] in log.state.entered else made
