"""The HTTP API, acting. Each action needs a login, the header `X-CSRF-Token` and the browser's own `Origin`."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Header
from pydantic import BaseModel, ConfigDict, Field

from spice.console.login import Logins
from spice.console.records import Problem
from spice.console.web import Digest, Visiting, acting, address_of, allowed
from spice.trust.signing import Hex64, Hex128

Token = Annotated[str, Header(alias="X-CSRF-Token")]
Reason = Annotated[str, Field(max_length=500)]

_ANSWERS = {
    401: "not logged in",
    403: "the role is missing, or the request does not come from a page of this console",
    404: "not in the store",
    409: "refused; the message says why",
    429: "too often",
    503: "the store failed; look before trying again",
}
router = APIRouter(
    prefix="/api",
    tags=["acting"],
    responses={status: {"model": Problem, "description": text} for status, text in _ANSWERS.items()},
)


class Body(BaseModel):
    """A request's body; unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Verdict(Body):
    """An approver's word."""

    verdict: Literal["approve", "reject"]
    reason: Reason = ""


class Why(Body):
    """The reason for an action."""

    reason: Reason = ""


class Rollback(Body):
    """Away from `live`, the digest of the checkpoint that the person saw as live."""

    live: Hex64
    reason: Reason


class Challenge(BaseModel):
    """Something to sign."""

    challenge: str


class Answer(Body):
    """A signed challenge, see `spice.console.login`."""

    name: Annotated[str, Field(max_length=63)]
    audience: Annotated[str, Field(max_length=300)]
    challenge: Annotated[str, Field(max_length=100)]
    signature: Hex128


class Code(BaseModel):
    """A code that logs in once, at `/login?code=`."""

    code: str


class Done(BaseModel):
    """What was done."""

    message: str


@router.post("/requests/{digest}/verdicts")
def judge(here: Visiting, digest: Digest, said: Verdict, token: Token = "") -> Done:
    """Approve or reject a request."""
    person = acting(here, token, here.console.action_limit)
    act = here.console.actions.approve if said.verdict == "approve" else here.console.actions.reject
    return Done(message=act(person, f"requests/{digest}", said.reason))


@router.post("/requests/{digest}/promotion")
def promote(here: Visiting, digest: Digest, token: Token = "") -> Done:
    """Make the candidate of an approved request live."""
    person = acting(here, token, here.console.action_limit)
    return Done(message=here.console.actions.promote(person, f"requests/{digest}"))


@router.post("/rollback")
def rollback(here: Visiting, wanted: Rollback, token: Token = "") -> Done:
    """Go back to the release before the live one."""
    person = acting(here, token, here.console.action_limit)
    return Done(message=here.console.actions.rollback(person, f"checkpoints/{wanted.live}", wanted.reason))


@router.post("/switch/engage")
def engage(here: Visiting, why: Why, token: Token = "") -> Done:
    """Engage the kill-switch."""
    person = acting(here, token, here.console.stop_limit)
    return Done(message=here.console.actions.engage(person, why.reason))


@router.post("/switch/release")
def release(here: Visiting, why: Why, token: Token = "") -> Done:
    """Agree to release the kill-switch; the second operator's word releases it."""
    person = acting(here, token, here.console.action_limit)
    return Done(message=here.console.actions.release(person, why.reason))


@router.post("/login/challenges", tags=["login"])
def pose(here: Visiting) -> Challenge:
    """Something to sign with one's key, to log in."""
    return Challenge(challenge=_logins(here).challenge())


@router.post("/login/answers", tags=["login"])
def answer(here: Visiting, given: Answer) -> Code:
    """A code for a signed challenge."""
    code = _logins(here).answer(given.name, given.audience, given.challenge, given.signature, here.console.origins)
    return Code(code=code)


def _logins(here: Visiting) -> Logins:
    allowed(here.console.login_limit, address_of(here.request))
    return here.console.logins
