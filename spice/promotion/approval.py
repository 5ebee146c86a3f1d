"""Approvals: one signed object per person, bound to what was approved, and good for a limited time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from spice.errors import ConflictError, RefusedError
from spice.promotion import request as requests
from spice.promotion.log import ReleaseLog
from spice.promotion.request import Request
from spice.store.base import ObjectStore
from spice.store.canonical import digest, dumps
from spice.trust.ledger import Clock, Draft, timestamp
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


@dataclass(frozen=True)
class Count:
    """The approvals of a request: who counts, who rejected, and why the rest does not count."""

    approvers: tuple[str, ...]
    rejections: tuple[str, ...]
    problems: tuple[str, ...]


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
        key = log.keyring.require(signer, "approver")
        wanted = requests.load(log, ref)
        requester = log.keyring.get(wanted.requester)
        if not reject and requester.public_key == key.public_key:
            raise RefusedError(
                f"{signer.name} asked for this release and so cannot approve it. Another person must: "
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
            approver=signer.name,
            verdict="reject" if reject else "approve",
            reason=reason,
            time=now,
            expires=now + timedelta(hours=hours),
        )
        stored, said = _existing(log, said) or _write(log, said, signer)
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
    approvers: dict[str, str] = {}  # public key -> name
    rejections, problems = [], []
    for info in log.store.list(f"{ref}/approvals/"):
        try:
            found = _read(log, info.key)
            _check_binding(found, ref, wanted, info.key)
            if found.verdict == "approve":
                _check_approver(log, found, wanted)
                _check_time(found, hours, now)
                approvers[log.keyring.get(found.approver).public_key] = found.approver
            else:
                rejections.append(found.approver)
        except RefusedError as error:
            problems.append(str(error))
    return Count(tuple(sorted(approvers.values())), tuple(rejections), tuple(problems))


def _existing(log: ReleaseLog, said: Approval) -> tuple[str, Approval] | None:
    """The same said by the same person earlier, if it still counts, with its key."""
    for info in log.store.list(f"{said.request}/approvals/{said.approver}."):
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
        key = f"{said.request}/approvals/{said.approver}{'' if number == 1 else f'.{number}'}.json"
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
    if log.keyring.get(found.approver).public_key == log.keyring.get(wanted.requester).public_key:
        raise RefusedError(f"{found.approver} asked for this release, so their approval does not count.")


def _read(log: ReleaseLog, key: str) -> Approval:
    try:
        sealed = Signed.model_validate_json(log.store.get(key))
        found = Approval.model_validate(log.keyring.open(sealed, _KIND, "approver"))
    except ValidationError as error:
        raise RefusedError(f"{key} is not an approval; it was changed or forged.") from error
    except RefusedError as error:
        raise RefusedError(f"{key} does not count: {error}") from error
    if found.approver != sealed.signer or key.rpartition("/")[2].partition(".")[0] != sealed.signer:
        raise RefusedError(f"{key} does not count: it speaks for {found.approver} and bears another's signature.")
    return found


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
