"""Requests: what is asked for, on which evidence, where it stands, and what happens next."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from spice.config import PromotionConfig
from spice.console.records import RequestDetail, RequestSummary
from spice.console.views.changes import changes
from spice.console.views.ledger import history
from spice.console.views.standing import OPEN, pending, settled
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


@dataclass(frozen=True)
class _Asked:
    """What the ledger says of a request."""

    time: str
    approvers: tuple[str, ...]


def summaries(seen: Snapshot, config: PromotionConfig, now: datetime) -> tuple[RequestSummary, ...]:
    """Every request, the open ones first, then the newest first. Raises `RefusedError` if the ledger is not sound."""
    log = seen.trusted()
    found = [_summary(log, ref, asked, seen, config, now) for ref, asked in reversed(_asked(seen).items())]
    return tuple(sorted(found, key=lambda one: one.state not in OPEN))


def waiting(seen: Snapshot, config: PromotionConfig, now: datetime) -> tuple[RequestSummary, ...]:
    """The open requests; none if the ledger is not sound, because then nothing can be decided."""
    return tuple(one for one in summaries(seen, config, now) if one.state in OPEN) if seen.log else ()


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
        **_described(log, ref, wanted, found, _asked(seen)[ref], seen, config).model_dump(),
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


def _asked(seen: Snapshot) -> dict[str, _Asked]:
    """Every request in the ledger, oldest first, in one pass over it."""
    found: dict[str, _Asked] = {}
    for one in seen.entries:
        if one.action == "request":
            found[one.subject] = _Asked(one.time, ())
        elif one.action == "approve" and one.subject in found:
            before = found[one.subject]
            found[one.subject] = _Asked(before.time, tuple(dict.fromkeys([*before.approvers, one.person])))
    return found


def _summary(
    log: ReleaseLog, ref: str, asked: _Asked, seen: Snapshot, config: PromotionConfig, now: datetime
) -> RequestSummary:
    try:
        wanted = requests.load(log, ref)
        # Who approved a settled request is in the ledger; only for open ones does it matter who still counts.
        done = settled(log, ref, wanted)
        found = None if done else approval.count(log, ref, wanted, config.approval_hours, now)
    except (RefusedError, StoreError) as error:
        return RequestSummary(
            ref=ref,
            state="unreadable",
            candidate="",
            requester="",
            time=asked.time,
            needed=config.approvals,
            approvers=(),
            told=f"It cannot be trusted, so it cannot be released. {error}",
        )
    return _described(log, ref, wanted, found, asked, seen, config)


def _described(
    log: ReleaseLog,
    ref: str,
    wanted: Request,
    found: Count | None,
    asked: _Asked,
    seen: Snapshot,
    config: PromotionConfig,
) -> RequestSummary:
    state, sentence = settled(log, ref, wanted) or pending(wanted, found or Count((), (), ()), config)
    if state in OPEN and seen.switch.engaged:
        sentence = f"{sentence} Nothing can go live while the kill-switch is engaged."
    return RequestSummary(
        ref=ref,
        state=state,
        candidate=wanted.candidate,
        requester=wanted.requester,
        time=asked.time,
        needed=config.approvals,
        approvers=found.approvers if found and state in OPEN else asked.approvers,
        told=sentence,
    )
