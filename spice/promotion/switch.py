"""The kill-switch: one operator engages it, two different ones release it.

Engaging takes effect with the flag (`spice.promotion.switchflag`), before and
even without the ledger. Then the entry follows, and the pointer goes to the
release before the live one, which is revoked for good.
"""

from __future__ import annotations

from dataclasses import dataclass

from spice.errors import RefusedError, SpiceError, StoreError
from spice.promotion import state as states
from spice.promotion import switchflag
from spice.promotion.log import ReleaseLog
from spice.promotion.switchflag import Flag
from spice.store.base import ObjectStore
from spice.trust.keyring import Keyring
from spice.trust.ledger import Clock, Draft, timestamp
from spice.trust.signing import Signer


@dataclass(frozen=True)
class SwitchStatus:
    """The switch.

    Attributes:
        engaged: whether it is engaged; what cannot be read counts as engaged.
        by: who engaged or released it last, or "".
        reason: why, or "".
        consents: operators who agreed to release it.
        live: what may be served.
        problem: what is wrong with ledger or flag, or "".
    """

    engaged: bool
    by: str
    reason: str
    consents: tuple[str, ...] = ()
    live: str | None = None
    problem: str = ""


def engage(store: ObjectStore, signer: Signer, reason: str, clock: Clock) -> SwitchStatus:
    """Stop everything. Engaging an engaged switch changes nothing, but completes what another could not.

    Raises:
        RefusedError: the signer is no operator.
        StoreError: the flag could not be set: **not engaged**. Once it is set, trouble with the ledger is told in
            `SwitchStatus.problem` and the switch is engaged all the same.
    """
    Keyring(store).require(signer, "operator")
    flag = _set_flag(store, signer.person, reason, clock)
    try:
        log = ReleaseLog(store)
        _number_flag(log, signer.person, reason, clock)
        _record(log, signer, reason, clock)
        log.project()
    except SpiceError as error:
        return SwitchStatus(True, flag.by, flag.reason, problem=f"Engaged, but not entered in the ledger: {error}")
    return status(store)


def release(store: ObjectStore, signer: Signer, reason: str, clock: Clock) -> SwitchStatus:
    """Agree to release the switch; the second operator's word releases it. Releasing a released switch changes nothing.

    Raises:
        RefusedError: the signer is no operator, or agreed already.
        IntegrityError: the ledger is not what was written; the switch stays engaged.
    """
    log = ReleaseLog(store)
    with log.refusals_recorded(signer, clock, "kill.release", ""):
        log.keyring.require(signer, "operator")
        if log.engaged():
            _record(log, signer, "found engaged without a ledger entry", clock)
            log.append(signer, clock, lambda: _consent(log, signer.person, reason))
            _clear_flag(log, signer.person, reason, clock)
        log.project()
    return status(store)


def status(store: ObjectStore) -> SwitchStatus:
    """The switch's state. Never raises because of what it reads: trouble counts as engaged and is told."""
    by = reason = ""
    try:
        flag = switchflag.read(store).flag
        by, reason = (flag.by, flag.reason) if flag else ("", "")
        log = ReleaseLog(store)
        releases = log.effective()
        return SwitchStatus(log.engaged(), by, reason, log.state.consents, releases[-1] if releases else None)
    except (StoreError, RefusedError) as error:
        return SwitchStatus(True, by, reason, problem=f"It cannot be read, which counts as engaged: {error}")


def require_disengaged(store: ObjectStore) -> None:
    """Raise `RefusedError` while the switch is engaged, or cannot be read. Training asks before it starts."""
    try:
        ReleaseLog(store).require_disengaged()
    except StoreError as error:
        raise RefusedError(f"The kill-switch cannot be read, which counts as engaged: {error}") from error


def _set_flag(store: ObjectStore, name: str, reason: str, clock: Clock) -> Flag:
    """Set the flag without a look at the ledger, which may be slow or broken, and see that it is set."""
    while True:
        found = switchflag.read(store)
        if found.flag and found.flag.engaged:
            return found.flag
        number = found.flag.engagement + 1 if found.flag and found.flag.engagement is not None else None
        flag = Flag(engaged=True, engagement=number, by=name, reason=reason, time=timestamp(clock()))
        if switchflag.write(store, flag, found.etag):
            return flag


def _number_flag(log: ReleaseLog, name: str, reason: str, clock: Clock) -> None:
    """Give the flag the number after the ledger's last engagement, unless it has it or the ledger is engaged.

    A flag with an older number is what a release left that was interrupted before it cleared the flag, or an old flag
    that someone put back; either way the engagement asked for now is a new one.
    """
    while True:
        found = switchflag.read(log.store)
        log.catch_up()
        wanted = log.state.engagement + 1
        if not found.engaged or log.state.engaged or (found.flag and found.flag.engagement == wanted):
            return
        flag = Flag(engaged=True, engagement=wanted, by=name, reason=reason, time=timestamp(clock()))
        if switchflag.write(log.store, flag, found.etag):
            return


def _record(log: ReleaseLog, signer: Signer, reason: str, clock: Clock) -> None:
    """Enter the engagement that the flag tells of, unless it is in the ledger."""

    def decide() -> Draft | None:
        if not log.unrecorded(switchflag.read(log.store)):
            return None
        after = states.after_engaging(log.state.releases)
        body = {"engagement": log.state.engagement + 1, "live": after[-1] if after else None, "reason": reason}
        return Draft("kill.engage", log.state.live or "", body)

    log.append(signer, clock, decide)


def _consent(log: ReleaseLog, name: str, reason: str) -> Draft | None:
    if not log.state.engaged:
        return None
    body = {"engagement": log.state.engagement, "live": log.state.live, "reason": reason}
    if not log.state.consents:
        return Draft("kill.consent", "", body)
    if log.state.consents == (log.state.person(name),):
        raise RefusedError(
            f"{name} agreed already. A second operator must, too: "
            "`spice kill release --as NAME` (`spice keys create NAME --role operator` makes a key)."
        )
    return Draft("kill.release", "", body)


def _clear_flag(log: ReleaseLog, name: str, reason: str, clock: Clock) -> None:
    """Clear the flag of an engagement that the ledger says was released, and of no later one."""
    while True:
        found = switchflag.read(log.store)
        log.catch_up()
        if log.state.engaged or log.unrecorded(found) or (found.flag and not found.engaged):
            return
        flag = Flag(engaged=False, engagement=log.state.engagement, by=name, reason=reason, time=timestamp(clock()))
        if switchflag.write(log.store, flag, found.etag):
            return
