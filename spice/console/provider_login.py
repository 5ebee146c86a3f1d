"""Logging in at a provider: there and back.

The cookie that binds both ends must come along when the provider's site sends the browser back, so it is `SameSite=Lax`
and good for these addresses alone. The session's own cookie is `Strict`: the page that sets it leads on by itself,
since a browser sends no such cookie with a redirect that began elsewhere.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import RedirectResponse, Response

from spice.console.draw import page
from spice.console.errors import UnauthenticatedError
from spice.console.federation import PATIENCE, RETURN
from spice.console.web import Visiting, address_of, allowed, begin_session

_COOKIE = "spice_oidc"
_PATH = "/login/oidc"

Word = Annotated[str, Query(max_length=4096)]

router = APIRouter(include_in_schema=False)


@router.get(_PATH)
def leave(here: Visiting) -> Response:
    """Send the browser to the provider."""
    allowed(here.console.login_limit, address_of(here.request))
    address, browser = here.console.federation.begin()
    response = RedirectResponse(address, 303)
    response.set_cookie(
        _COOKIE,
        browser,
        max_age=int(PATIENCE.total_seconds()),
        httponly=True,
        samesite="lax",
        secure=here.console.secure,
        path=_PATH,
    )
    return response


@router.get(RETURN)
def come_back(here: Visiting, state: Word = "", code: Word = "", error: Word = "", iss: Word = "") -> Response:
    """Log in whoever the provider says it is."""
    allowed(here.console.login_limit, address_of(here.request))
    provider = here.console.federation.provider
    if provider and iss and iss != provider.issuer:
        raise UnauthenticatedError("Another provider sent you back than the one you were sent to. Begin again.")
    if error or not code:
        raise UnauthenticatedError(f"You were not logged in there: {error or 'no code came back'}.")
    identity = here.console.federation.finish(state, here.request.cookies.get(_COOKIE, ""), code)
    person = here.console.door.person(identity, "")
    if person is None:
        raise UnauthenticatedError(
            f"You are {identity.name}, whom nobody gave a role here. An admin adds you to console.roles, or registers "
            "your key with this identity."
        )
    response = page(here, "welcome", name=person.name, roles=person.roles)
    begin_session(response, here.console, identity)
    response.delete_cookie(_COOKIE, path=_PATH)
    return response
