"""`spice approve`: look at a release request and its evidence, then approve or reject it."""

from __future__ import annotations

from typing import Annotated

import typer

from spice.cli.acting import (
    ReasonOption,
    RequestArgument,
    acting,
    describe_decision,
    describe_request,
    find,
    governed,
    now,
)
from spice.cli.common import (
    DEFAULT_PRESET,
    FileOption,
    JsonOption,
    PresetOption,
    SetOption,
    StoreOption,
    again,
    emit,
)


def approve(
    request: RequestArgument,
    name: Annotated[
        str | None, typer.Option("--as", metavar="NAME", help="Whose key signs; without it the request is only shown.")
    ] = None,
    reject: Annotated[bool, typer.Option("--reject", help="Reject instead, for good.")] = False,
    reason: ReasonOption = "",
    preset: PresetOption = DEFAULT_PRESET,
    file: FileOption = None,
    sets: SetOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a release request with its evidence; with --as, approve or reject it."""
    from spice.promotion import approval, gate
    from spice.promotion import request as requests
    from spice.promotion.log import ReleaseLog

    config, place = governed(preset, file, sets, store)
    ref = find(place, "requests", request)
    log = ReleaseLog(place)
    wanted = requests.load(log, ref)
    decision = gate.load(place, wanted.decision, log.keyring)
    lines = [describe_request(wanted), "", describe_decision(decision), ""]
    hours = config.promotion.approval_hours
    if name is None:
        count = approval.count(log, ref, wanted, hours, now())
        needed = config.promotion.approvals
        lines += [
            f"Approved by: {', '.join(count.approvers) or 'nobody'}; {needed} needed, never {wanted.requester}.",
            *(f"Rejected by {who}. That is final." for who in count.rejections),
            *count.problems,
            f"Approve with `spice approve {ref} --as NAME {again(config)}`, reject with --reject in addition.",
        ]
        emit({"request": ref, "wanted": wanted, "decision": decision, "approvals": count}, "\n".join(lines), as_json)
        return
    said = approval.approve(place, ref, acting(place, name), hours, now, reject=reject, reason=reason)
    if reject:
        lines.append(f"{name} rejected this. It is final for this candidate on this evidence.")
    else:
        lines += [
            f"{name} approved this until {said.expires:%Y-%m-%d %H:%M} UTC.",
            f"Next: spice promote {ref} {again(config, wanted.requester)}",
        ]
    emit(said, "\n".join(lines), as_json)
