"""The web application: routes, what every answer carries, and how a refusal is told."""

from __future__ import annotations

from importlib import resources

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

from spice import __version__
from spice.console import api, api_actions, forms, pages, provider_login
from spice.console.context import Console
from spice.console.draw import problem, style
from spice.console.records import Problem
from spice.console.security import HEALTH, SecurityMiddleware
from spice.console.web import headers_of, status_of, visit, visit_by_anybody
from spice.errors import SpiceError

_ABOUT = """Reads everything that the pages of the console show. Nothing needs a login except actions.

An action needs the session cookie of a login (or a gateway that is configured to be believed), the header
`X-CSRF-Token` with the value that `/api/visitor` gives, and the header `Origin` with the console's own address."""


def create_app(console: Console) -> FastAPI:
    """The console as an ASGI application."""
    app = FastAPI(
        title="SPICE console",
        version=__version__,
        description=_ABOUT,
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.console = console
    app.add_middleware(SecurityMiddleware, hosts=console.hosts, secure=console.secure)
    for router in (api.router, api_actions.router, pages.router, forms.router, provider_login.router):
        app.include_router(router)
    app.add_exception_handler(SpiceError, _refused)
    app.add_exception_handler(HTTPException, _failed)
    app.add_exception_handler(RequestValidationError, _invalid)

    @app.get(HEALTH, include_in_schema=False)
    def healthy() -> PlainTextResponse:
        """Answers as long as the process does; whether the store can be read is on every page."""
        return PlainTextResponse("ok\n")

    @app.get("/static/style.css", include_in_schema=False)
    def styled() -> Response:
        return Response(style(), media_type="text/css", headers={"Cache-Control": "max-age=300"})

    app.mount("/static", StaticFiles(directory=str(resources.files("spice.console").joinpath("static"))))
    return app


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, SpiceError)
    return _answer(request, status_of(error), str(error), headers_of(error))


def _failed(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    text = "There is no such page." if error.status_code == 404 else str(error.detail)
    return _answer(request, error.status_code, text, dict(error.headers or {}))


def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    told = "; ".join(f"{'.'.join(map(str, one['loc'][1:]))}: {one['msg']}" for one in error.errors())
    # In a page's address a reference that is none names a page that does not exist.
    page = not request.url.path.startswith("/api/") and request.method == "GET"
    return _answer(request, 404 if page else 422, told, {})


def _answer(request: Request, status: int, message: str, headers: dict[str, str]) -> Response:
    if request.url.path.startswith("/api/"):
        content = Problem(error=_NAMES.get(status, "failed"), message=message).model_dump()
        return JSONResponse(content, status, headers)
    try:
        here = visit(request)
    except SpiceError:
        here = visit_by_anybody(request)
    return problem(here, status, message, headers)


_NAMES = {
    401: "not logged in",
    403: "forbidden",
    404: "not found",
    405: "not allowed",
    409: "refused",
    422: "not valid",
    429: "too often",
    503: "store",
}
