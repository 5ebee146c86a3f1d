"""Requests: what is asked for, on which evidence, where it stands, and what happens next."""

from __future__ import annotations

from datetime import datetime

from spice.config import PromotionConfig
from spice.console.records import RequestDetail, RequestState, RequestSummary
from spice.console.views.changes import changes
from spice.console.views.ledger import history
from spice.console.watch import Snapshot
from spice.console.words import short
from spice.errors import NotFoundError, RefusedError, StoreError
from spice.evaluation import report as reports
from spice.promotion import approval, gate
from spice.promotion import request as requests
from spice.promotion.approval import Count
from spice.promotion.log import ReleaseLog
from spice.promotion.request import Request
from spice.store.base import ObjectStore

_OPEN = ("waiting", "approved")


def summaries(seen: Snapshot, config: PromotionConfig, now: datetime) -> tuple[RequestSummary, ...]:
    """Every request, the open ones first, then the newest first. Raises `RefusedError` if the ledger is not sound."""
    log = seen.trusted()
    asked = [one.subject for one in seen.entries if one.action == "request"]
    found = [_summary(log, ref, seen, config, now) for ref in reversed(asked)]
    return tuple(sorted(found, key=lambda one: one.state not in _OPEN))


def waiting(seen: Snapshot, config: PromotionConfig, now: datetime) -> tuple[RequestSummary, ...]:
    """The open requests; none if the ledger is not sound, because then nothing can be decided."""
    return tuple(one for one in summaries(seen, config, now) if one.state in _OPEN) if seen.log else ()


def detail(store: ObjectStore, digest: str, seen: Snapshot, config: PromotionConfig, now: datetime) -> RequestDetail:
    """One request with the gate's reasons and the evidence.

    Raises:
        NotFoundError: nobody asked for it.
        RefusedError: the ledger is not sound, or request or decision cannot be trusted.
    """
    log = seen.trusted()
    ref = f"requests/{digest}"
    if ref not in log.state.requested:
        raise NotFoundError(f"There is no {short(ref)} in the ledger.")
    wanted = requests.load(log, ref)
    decision = gate.load(store, wanted.decision, log.keyring)
    found = approval.count(log, ref, wanted, config.approval_hours, now)
    problems = list(found.problems)
    try:
        suites = reports.load(store, wanted.evaluation).suites
    except StoreError as error:
        suites = {}
        problems.append(f"The evidence cannot be read: {error}")
    return RequestDetail(
        **_described(log, ref, wanted, found, seen, config).model_dump(),
        base=wanted.base,
        corpus=wanted.corpus,
        run=wanted.run,
        evaluation=wanted.evaluation,
        decision=wanted.decision,
        replaces=wanted.replaces,
        outcome=decision.outcome,
        reasons=decision.reasons,
        warnings=decision.facts.health.warnings,
        policy=decision.policy_digest,
        suites=suites,
        changes=changes(store, seen.switch.live, wanted.candidate),
        problems=tuple(problems),
        history=history(store, seen, ref),
    )


def _summary(log: ReleaseLog, ref: str, seen: Snapshot, config: PromotionConfig, now: datetime) -> RequestSummary:
    try:
        wanted = requests.load(log, ref)
        found = approval.count(log, ref, wanted, config.approval_hours, now)
    except (RefusedError, StoreError) as error:
        return RequestSummary(
            ref=ref,
            state="unreadable",
            candidate="",
            requester="",
            time=_time(seen, ref),
            needed=config.approvals,
            approvers=(),
            told=f"It cannot be trusted, so it cannot be released. {error}",
        )
    return _described(log, ref, wanted, found, seen, config)


def _described(
    log: ReleaseLog, ref: str, wanted: Request, found: Count, seen: Snapshot, config: PromotionConfig
) -> RequestSummary:
    state, sentence = _standing(log, ref, wanted, found, config)
    if state in _OPEN and seen.switch.engaged:
        sentence = f"{sentence} Nothing can go live while the kill-switch is engaged."
    return RequestSummary(
        ref=ref,
        state=state,
        candidate=wanted.candidate,
        requester=wanted.requester,
        time=_time(seen, ref),
        needed=config.approvals,
        approvers=found.approvers,
        told=sentence,
    )


def _standing(
    log: ReleaseLog, ref: str, wanted: Request, found: Count, config: PromotionConfig
) -> tuple[RequestState, str]:
    state = log.state
    who = state.rejected.get((wanted.candidate, wanted.evaluation))
    if ref in state.used:
        return "released", f"It was released at entry {state.used[ref]} of the ledger."
    if who is not None or found.rejections:
        name = who or found.rejections[0]
        return "rejected", f"{name} rejected it. That is final; only another evaluation can be requested again."
    if wanted.candidate in state.revoked:
        return "revoked", "The kill-switch took this checkpoint out. It can never be live again."
    if state.live != wanted.replaces:
        return "overtaken", (
            f"It was to replace {short(wanted.replaces) or 'nothing'}, but live is {short(state.live) or 'nothing'}. "
            f"{wanted.requester} has to request again, so that people approve what really happens."
        )
    if missing := approval.shortfall(found, config):
        return "waiting", f"{missing} {_who_may(config, wanted)}"
    return "approved", "It is approved. Anyone with the role releaser may now make it live."


def _who_may(config: PromotionConfig, wanted: Request) -> str:
    who = ", ".join(config.approvers) or "Anyone with the role approver"
    return f"{who} may approve, but not {wanted.requester}, who asked."


def _time(seen: Snapshot, ref: str) -> str:
    return next((one.time for one in seen.entries if one.action == "request" and one.subject == ref), "")
