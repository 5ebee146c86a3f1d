"""From an HTTP request to what the routes want to know, and from a refusal to a status code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Path, Request, Response

from spice.console.actions import ForbiddenError
from spice.console.context import Console
from spice.console.errors import TooManyError, UnauthenticatedError
from spice.console.identity import Identity, Person
from spice.console.limits import RateLimit
from spice.console.watch import Snapshot
from spice.errors import ConfigError, NotFoundError, RefusedError, SpiceError

SESSION = "spice_session"
CSRF = "spice_csrf"

Digest = Annotated[str, Path(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
Segment = Annotated[str, Path(pattern=r"^[A-Za-z0-9#._-]{1,200}$")]


@dataclass(frozen=True)
class Visit:
    """One request: to which console, by whom, and the CSRF token for their next action."""

    request: Request
    console: Console
    person: Person | None
    cookie: str
    token: str

    @property
    def notice(self) -> str | None:
        """What was done just before, said once."""
        said = self.request.query_params.get("said")
        return self.console.notices.take(said) if said else None

    def look(self, *, afresh: bool = False) -> Snapshot:
        """The ledger and the switch as they are now."""
        return self.console.watch.look(afresh=afresh)

    def keep(self, response: Response) -> None:
        """Give the browser the cookie that CSRF tokens are bound to."""
        set_cookie(response, self.console, CSRF, self.cookie)


def visit(request: Request) -> Visit:
    """Who is here; a dependency of every route. Raises `StoreError` if it cannot be told what they may do."""
    console: Console = request.app.state.console
    return _visit(request, console.door.who(address_of(request), dict(request.headers), request.cookies.get(SESSION)))


def visit_by_anybody(request: Request) -> Visit:
    """The same without a look at who it is, for telling that something is wrong."""
    return _visit(request, None)


def _visit(request: Request, person: Person | None) -> Visit:
    console: Console = request.app.state.console
    cookie = request.cookies.get(CSRF) or console.csrf.cookie()
    return Visit(request, console, person, cookie, console.csrf.token(cookie, person))


Visiting = Annotated[Visit, Depends(visit)]


def acting(here: Visit, token: str, limit: RateLimit) -> Person:
    """Whoever may act: known, on our own page or with a token of their own, and not too often.

    Raises a `RefusedError`.
    """
    if here.person is None:
        raise UnauthenticatedError("Log in first: whoever acts must be known.")
    if here.person.secret:  # a browser sends cookies by itself, but nobody's token
        meant(here, token)
    allowed(limit, here.person.name)
    return here.person


def meant(here: Visit, token: str) -> None:
    """Raise `ForbiddenError` unless the request comes from a page of ours."""
    try:
        cookie = here.request.cookies.get(CSRF, "")
        here.console.csrf.check(dict(here.request.headers), cookie, token, here.person)
    except RefusedError as error:
        raise ForbiddenError(str(error)) from error


def allowed(limit: RateLimit, key: str) -> None:
    """Raise `TooManyError` if `key` has used up its allowance."""
    if seconds := limit.wait(key):
        raise TooManyError(seconds)


def begin_session(response: Response, console: Console, identity: Identity) -> None:
    """Give the browser a session of `identity`, and CSRF tokens that none before it knows."""
    set_cookie(response, console, SESSION, console.sessions.issue(identity))
    set_cookie(response, console, CSRF, console.csrf.cookie())


def address_of(request: Request) -> str:
    """The machine that connected to us."""
    return request.client.host if request.client else ""


def set_cookie(response: Response, console: Console, name: str, value: str) -> None:
    """A cookie that scripts cannot read and other sites cannot cause to be sent."""
    response.set_cookie(name, value, httponly=True, samesite="strict", secure=console.secure, path="/")


def status_of(error: SpiceError) -> int:
    """The HTTP status that says the same as `error`."""
    kinds: tuple[tuple[type[SpiceError], int], ...] = (
        (UnauthenticatedError, 401),
        (ForbiddenError, 403),
        (TooManyError, 429),
        (RefusedError, 409),
        (NotFoundError, 404),
        (ConfigError, 422),
    )
    return next((status for kind, status in kinds if isinstance(error, kind)), 503)


def headers_of(error: SpiceError) -> dict[str, Any]:
    """What a client should know besides the status."""
    return {"Retry-After": str(error.seconds)} if isinstance(error, TooManyError) else {}
