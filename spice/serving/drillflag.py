"""`drill.json`: for a short time, gateways behave as if the kill-switch had just been engaged.

An engagement revokes the live release for good, so it cannot be had for
practice. This flag takes the same way through the gateway and ends by itself:
nothing is revoked, and neither promotions nor training look at it. It counts
only with an operator's signature, and for two minutes at most.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from spice.errors import ConflictError, RefusedError
from spice.store.base import ObjectStore
from spice.store.canonical import dumps
from spice.trust.keyring import Keyring
from spice.trust.signing import Signed, Signer

KEY = "drill.json"
LONGEST = timedelta(minutes=2)
_KIND = "drill"
_SKEW = timedelta(seconds=30)  # by how much two machines' clocks may differ


class Drill(BaseModel):
    """One drill."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    by: str
    since: AwareDatetime
    until: AwareDatetime


def begin(store: ObjectStore, signer: Signer, now: datetime, lasting: timedelta) -> None:
    """Take the live release out of all gateways until `end`, or until `lasting` is over.

    Raises:
        RefusedError: the signer is no operator, or a drill is on already.
    """
    keyring = Keyring(store)
    keyring.require(signer, "operator")
    if active(store, keyring, now):
        raise RefusedError("Another drill is under way. It ends within two minutes by itself.")
    _write(store, signer, Drill(by=signer.name, since=now, until=now + min(lasting, LONGEST)))


def end(store: ObjectStore, signer: Signer, now: datetime) -> None:
    """End the drill; ending one that is over changes nothing."""
    _write(store, signer, Drill(by=signer.name, since=now, until=now))


def active(store: ObjectStore, keyring: Keyring, now: datetime) -> bool:
    """Whether a drill is on. What is not a drill signed by an operator is none. Raises `StoreError`."""
    found = store.read(KEY)
    if found is None:
        return False
    try:
        drill = Drill.model_validate(keyring.open(Signed.model_validate_json(found[0]), _KIND, "operator"))
    except (ValidationError, RefusedError):
        return False
    return drill.since - _SKEW <= now < min(drill.until, drill.since + LONGEST)


def _write(store: ObjectStore, signer: Signer, drill: Drill) -> None:
    data = dumps(signer.seal(_KIND, _utc(drill).model_dump(mode="json")).model_dump(mode="json"))
    while True:
        found = store.read(KEY)
        try:
            store.swap(KEY, data, found[1] if found else None)
        except ConflictError:
            continue
        return


def _utc(drill: Drill) -> Drill:
    return drill.model_copy(update={"since": drill.since.astimezone(UTC), "until": drill.until.astimezone(UTC)})
