"""Where a request stands and what happens next, in words."""

from __future__ import annotations

from spice.config import PromotionConfig
from spice.console.records import RequestState
from spice.console.words import short
from spice.promotion import approval
from spice.promotion.approval import Count
from spice.promotion.log import ReleaseLog
from spice.promotion.request import Request

OPEN: tuple[RequestState, ...] = ("waiting", "approved")

Standing = tuple[RequestState, str]


def settled(log: ReleaseLog, ref: str, wanted: Request) -> Standing | None:
    """Why nothing more can come of a request, from the ledger alone; `None` if it is open."""
    state = log.state
    if ref in state.used:
        return "released", f"It was released at entry {state.used[ref]} of the ledger."
    if who := state.rejected.get((wanted.candidate, wanted.evaluation)):
        return _rejected(who)
    if wanted.candidate in state.revoked:
        return "revoked", "The kill-switch took this checkpoint out. It can never be live again."
    if state.live != wanted.replaces:
        return "overtaken", (
            f"It was to replace {short(wanted.replaces) or 'nothing'}, but live is {short(state.live) or 'nothing'}. "
            f"{wanted.requester} has to request again, so that people approve what really happens."
        )
    return None


def pending(wanted: Request, found: Count, config: PromotionConfig) -> Standing:
    """What an open request waits for."""
    if found.rejections:  # stored, and its ledger entry still to come
        return _rejected(found.rejections[0])
    if missing := approval.shortfall(found, config):
        who = ", ".join(config.approvers) or "Anyone with the role approver"
        return "waiting", f"{missing} {who} may approve, but not {wanted.requester}, who asked."
    return "approved", "It is approved. Anyone with the role releaser may now make it live."


def _rejected(who: str) -> Standing:
    return "rejected", f"{who} rejected it. That is final; only another evaluation can be requested again."
