"""What every answer carries, and which requests are not answered at all."""

from __future__ import annotations

from collections.abc import Collection

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEALTH = "/healthz"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# A run's report brings its style along and has no script.
REPORT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"

_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    # To nobody else; under `no-referrer` browsers would send our own forms with the origin `null`.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}
_MOST_BYTES = 64 * 1024  # of a request's body; the longest form holds a reason


class SecurityMiddleware:
    """Refuses requests for other hosts and with large bodies, and sets the headers that keep a browser safe.

    Args:
        app: what answers.
        hosts: what the `Host` header may say.
        secure: tell browsers to use TLS only, from now on.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str], secure: bool) -> None:
        self._app = app
        self._hosts = hosts
        self._headers = dict(_HEADERS)
        if secure:
            self._headers["Strict-Transport-Security"] = "max-age=31536000"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                found = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    found.setdefault(name, value)
            await send(message)

        headers = Headers(scope=scope)
        answer: ASGIApp = self._app
        if scope["path"] != HEALTH and headers.get("host") not in self._hosts:
            answer = PlainTextResponse("This console does not answer under that name; see console.url.", 421)
        elif _too_long(headers):
            answer = PlainTextResponse("The request is too long, or does not say how long it is.", 413)
        await answer(scope, receive, guarded)


def _too_long(headers: Headers) -> bool:
    if "transfer-encoding" in headers:
        return True
    length = headers.get("content-length", "0")
    return not length.isdecimal() or int(length) > _MOST_BYTES
