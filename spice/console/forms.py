"""What people do on the pages: each form is one action, asked for once more where it cannot be undone."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Query
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from spice.console import may
from spice.console.draw import page
from spice.console.identity import Identity
from spice.console.views import ledger
from spice.console.web import (
    SESSION,
    Digest,
    Visit,
    Visiting,
    acting,
    address_of,
    allowed,
    begin_session,
    meant,
)
from spice.errors import RefusedError

Token = Annotated[str, Form(max_length=100)]
Reason = Annotated[str, Form(max_length=500)]
Code = Annotated[str, Form(max_length=100)]

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)


@router.post("/requests/{digest}/approve")
def approve(here: Visiting, digest: Digest, token: Token = "", reason: Reason = "") -> Response:
    """Approve a request."""
    person = acting(here, token, here.console.action_limit)
    return _done(here, f"/requests/{digest}", here.console.actions.approve(person, f"requests/{digest}", reason))


@router.post("/requests/{digest}/reject")
def reject(here: Visiting, digest: Digest, token: Token = "", reason: Reason = "") -> Response:
    """Reject a request, for good."""
    person = acting(here, token, here.console.action_limit)
    return _done(here, f"/requests/{digest}", here.console.actions.reject(person, f"requests/{digest}", reason))


@router.post("/requests/{digest}/promote")
def promote(here: Visiting, digest: Digest, token: Token = "") -> Response:
    """Make the candidate live."""
    person = acting(here, token, here.console.action_limit)
    return _done(here, f"/requests/{digest}", here.console.actions.promote(person, f"requests/{digest}"))


@router.get("/rollback")
def confirm_rollback(here: Visiting) -> HTMLResponse:
    """What rolling back would do."""
    seen = here.look()
    releases = seen.trusted().state.releases
    before = releases[-2] if len(releases) > 1 else None
    lacks = may.lacks(here.person, "releaser")
    return page(here, "rollback", seen=seen, live=seen.switch.live, before=before, lacks=lacks)


@router.post("/rollback")
def rollback(
    here: Visiting, live: Annotated[str, Form(max_length=100)], token: Token = "", reason: Reason = ""
) -> Response:
    """Go back to the release before `live`."""
    person = acting(here, token, here.console.action_limit)
    return _done(here, "/", here.console.actions.rollback(person, live, reason))


@router.post("/switch/engage")
def engage(here: Visiting, token: Token = "", reason: Reason = "") -> Response:
    """Engage the kill-switch."""
    person = acting(here, token, here.console.stop_limit)
    return _done(here, "/switch", here.console.actions.engage(person, reason))


@router.post("/switch/release")
def release(here: Visiting, token: Token = "", reason: Reason = "") -> Response:
    """Agree to release the kill-switch."""
    person = acting(here, token, here.console.action_limit)
    return _done(here, "/switch", here.console.actions.release(person, reason))


@router.post("/ledger/verify")
def verify(here: Visiting, token: Token = "") -> Response:
    """Verify the ledger from its first entry. Needs no login, but not from everybody all the time."""
    meant(here, token)
    allowed(here.console.login_limit, address_of(here.request))
    state = ledger.state(here.look(afresh=True))
    said = f"All {state.entries} entries were verified: hashes, signatures and rules are right."
    return _done(here, "/ledger", said if state.sound else f"The ledger is NOT sound. {state.problem}")


@router.get("/login")
def show_login(here: Visiting, code: Annotated[str, Query(max_length=100)] = "") -> HTMLResponse:
    """How to log in; or, with the code of a link, whether that person is meant."""
    name = here.console.logins.peek(code) if code else None
    provider = here.console.federation.provider
    return page(
        here, "login", code=code, name=name, url=min(here.console.origins), provider=provider and provider.issuer
    )


@router.post("/login")
def log_in(here: Visiting, code: Code, token: Token = "") -> Response:
    """Log in with the code of a link."""
    meant(here, token)
    name = here.console.logins.redeem(code)
    if name is None:
        raise RefusedError("This link was used already, or is too old. Run `spice console login` again.")
    response = RedirectResponse("/", 303)
    begin_session(response, here.console, Identity(name, "key", min(here.console.origins)))
    return response


@router.post("/logout")
def log_out(here: Visiting, token: Token = "") -> Response:
    """Log out."""
    meant(here, token)
    here.console.sessions.take(here.request.cookies.get(SESSION, ""))
    response = RedirectResponse("/", 303)
    response.delete_cookie(SESSION)
    return response


def _done(here: Visit, path: str, said: str) -> Response:
    """Go to `path` and say what was done there; a reload does it not again."""
    return RedirectResponse(f"{path}?said={here.console.notices.issue(said)}", 303)
