"""Approvals: one signed object per person, bound to what was approved, and good for a limited time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from spice.config import PromotionConfig
from spice.errors import ConflictError, RefusedError
from spice.promotion import request as requests
from spice.promotion.log import ReleaseLog
from spice.promotion.request import Request
from spice.store.base import ObjectStore
from spice.store.canonical import digest, dumps
from spice.trust.ledger import Clock, Draft, timestamp
from spice.trust.principal import Principal
from spice.trust.signing import Signed, Signer

_KIND = "approval"
_SKEW = timedelta(minutes=5)  # by how much two machines' clocks may differ


class Approval(BaseModel):
    """One person's word on one request."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    request: str
    candidate: str
    evaluation: str
    decision: str
    approver: str
    verdict: Literal["approve", "reject"]
    reason: str
    time: AwareDatetime
    expires: AwareDatetime
    on_behalf_of: Principal | None = None


@dataclass(frozen=True)
class Count:
    """The approvals of a request.

    Attributes:
        approvers: people whose approval counts.
        rejections: people who rejected.
        problems: why the rest does not count.
        groups: of each approver, in the same order.
    """

    approvers: tuple[str, ...]
    rejections: tuple[str, ...]
    problems: tuple[str, ...]
    groups: tuple[tuple[str, ...], ...] = ()


def approve(
    store: ObjectStore,
    ref: str,
    signer: Signer,
    hours: float,
    clock: Clock,
    *,
    reject: bool = False,
    reason: str = "",
) -> Approval:
    """Approve the request `ref`, or reject it for good. Saying the same again changes nothing.

    Args:
        store: where the request lies.
        ref: `requests/<digest>`.
        signer: the approver.
        hours: how long an approval counts.
        clock: dates it.
        reject: turn the candidate down on this evidence; final.
        reason: shown to whoever asks later.

    Raises:
        RefusedError: the signer is the requester or no approver, or the request is settled already.
    """
    log = ReleaseLog(store)
    with log.refusals_recorded(signer, clock, "reject" if reject else "approve", ref):
        log.keyring.require(signer, "approver")
        wanted = requests.load(log, ref, pending=True)
        if not reject and log.state.person(signer.person) == log.state.person(wanted.requester):
            raise RefusedError(
                f"{signer.person} asked for this release and so cannot approve it. Another person must: "
                "`spice keys create NAME --role approver` makes a key, `spice approve REQUEST --as NAME` uses it."
            )
        requests.refuse_hopeless(log, wanted)
        if ref in log.state.used:
            raise RefusedError(f"{ref} led to a release already, at ledger entry {log.state.used[ref]}.")
        now = clock().astimezone(UTC)
        said = Approval(
            request=ref,
            candidate=wanted.candidate,
            evaluation=wanted.evaluation,
            decision=wanted.decision,
            approver=signer.person,
            on_behalf_of=signer.principal,
            verdict="reject" if reject else "approve",
            reason=reason,
            time=now,
            expires=now + timedelta(hours=hours),
        )
        stored, said = _existing(log, said, signer) or _write(log, said, signer)
        body = {
            "approval": stored,
            "candidate": wanted.candidate,
            "evaluation": wanted.evaluation,
            "sha256": digest(store.get(stored)),
        }
        log.append(signer, clock, lambda: None if _entered(log, said, stored) else Draft(said.verdict, ref, body))
        return said


def count(log: ReleaseLog, ref: str, wanted: Request, hours: float, now: datetime) -> Count:
    """Who approved the request `ref` in a way that counts at `now`.

    Args:
        log: the release log.
        ref: `requests/<digest>`.
        wanted: the request itself.
        hours: an approval counts for this long at most, whatever it says itself.
        now: the present.
    """
    approvers: dict[str, tuple[str, ...]] = {}  # person -> groups
    rejections, problems = [], []
    for info in log.store.list(f"{ref}/approvals/"):
        try:
            found = _read(log, info.key)
            _check_binding(found, ref, wanted, info.key)
            if found.verdict == "approve":
                _check_approver(log, found, wanted)
                _check_time(found, hours, now)
                approvers[log.state.person(found.approver)] = _groups(log, found)
            else:
                rejections.append(found.approver)
        except RefusedError as error:
            problems.append(str(error))
    names = tuple(sorted(approvers))
    return Count(names, tuple(rejections), tuple(problems), tuple(approvers[name] for name in names))


def shortfall(found: Count, config: PromotionConfig) -> str:
    """What approvals are missing by `promotion.approvals`, `approvers` and `approvals_from`, or ""."""
    counted = {
        name: groups
        for name, groups in zip(found.approvers, found.groups, strict=True)
        if not config.approvers or name in config.approvers
    }
    problems = []
    if len(counted) < config.approvals:
        among = f" by {', '.join(config.approvers)}" if config.approvers else ""
        missing = config.approvals - len(counted)
        problems.append(f"{len(counted)} of {config.approvals} approvals{among}: {missing} missing.")
    for group, needed in sorted(config.approvals_from.items()):
        given = sum(group in groups for groups in counted.values())
        if given < needed:
            problems.append(f"{given} of {needed} approvals from {group}.")
    return " ".join(problems)


def _existing(log: ReleaseLog, said: Approval, signer: Signer) -> tuple[str, Approval] | None:
    """The same said by the same person earlier, if it still counts, with its key."""
    for info in log.store.list(f"{said.request}/approvals/{_stem(signer.name, said)}."):
        try:
            found = _read(log, info.key)
        except RefusedError:
            continue  # whatever lies there is not theirs and must not keep them from speaking
        if (
            found.request == said.request
            and found.verdict == said.verdict
            and (found.verdict == "reject" or said.time < found.expires)
        ):
            return info.key, found
    return None


def _write(log: ReleaseLog, said: Approval, signer: Signer) -> tuple[str, Approval]:
    """Statements are never replaced: one after an expired one, or a rejection after an approval, stands beside it."""
    data = dumps(signer.seal(_KIND, said.model_dump(mode="json")).model_dump(mode="json"))
    number = 1
    while True:
        key = f"{said.request}/approvals/{_stem(signer.name, said)}{'' if number == 1 else f'.{number}'}.json"
        try:
            log.store.create(key, data)
        except ConflictError:
            number += 1
        else:
            return key, said


def _entered(log: ReleaseLog, said: Approval, key: str) -> bool:
    if said.verdict == "reject":
        return (said.candidate, said.evaluation) in log.state.rejected
    return key in log.state.approved


def _check_approver(log: ReleaseLog, found: Approval, wanted: Request) -> None:
    if log.state.person(found.approver) == log.state.person(wanted.requester):
        raise RefusedError(f"{found.approver} asked for this release, so their approval does not count.")


def _groups(log: ReleaseLog, found: Approval) -> tuple[str, ...]:
    """What the approver's key says, and what the service says that identified them."""
    told = found.on_behalf_of.groups if found.on_behalf_of else ()
    name = log.state.person(found.approver)
    return tuple(sorted({*told, *(log.keyring.get(name).groups if log.keyring.registered(name) else ())}))


def _read(log: ReleaseLog, key: str) -> Approval:
    try:
        data = log.store.get(key)
        sealed = Signed.model_validate_json(data)
        as_entered = log.state.digests.get(key) == digest(data)
        payload = log.keyring.open(sealed, _KIND, "approver", key if as_entered else None, pending=True)
        found = Approval.model_validate(payload)
    except ValidationError as error:
        raise RefusedError(f"{key} is not an approval; it was changed or forged.") from error
    except RefusedError as error:
        raise RefusedError(f"{key} does not count: {error}") from error
    who = found.on_behalf_of.name if found.on_behalf_of else sealed.signer
    if found.approver != who or key.rpartition("/")[2].partition(".")[0] != _stem(sealed.signer, found):
        raise RefusedError(f"{key} does not count: it speaks for {found.approver} and bears another's signature.")
    return found


def _stem(signer: str, said: Approval) -> str:
    """Under which name one person's statements lie; that of a principal is hashed, since it may hold any character."""
    return f"{signer}+{digest(said.approver.encode())[:16]}" if said.on_behalf_of else signer


def _check_binding(found: Approval, ref: str, wanted: Request, key: str) -> None:
    given = (found.request, found.candidate, found.evaluation, found.decision)
    if given != (ref, wanted.candidate, wanted.evaluation, wanted.decision):
        raise RefusedError(f"{key} does not count: it was given for {found.request}, not for this request.")


def _check_time(found: Approval, hours: float, now: datetime) -> None:
    if found.time > now + _SKEW:
        raise RefusedError(f"The approval of {found.approver} is dated in the future, {timestamp(found.time)}.")
    ends = min(found.expires, found.time + timedelta(hours=hours))
    if now >= ends:
        raise RefusedError(f"The approval of {found.approver} expired at {timestamp(ends)}; they may approve again.")
