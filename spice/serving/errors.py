"""Refusals of the gateway, in the form that clients of the OpenAI API understand."""

from __future__ import annotations

from typing import Any

from spice.errors import SpiceError


class GatewayError(SpiceError):
    """A request that is not answered.

    Attributes:
        status: the HTTP status.
        kind: a word for programs, such as "release_revoked".
        headers: for the answer.
    """

    def __init__(self, status: int, kind: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.headers = headers or {}

    @property
    def body(self) -> dict[str, Any]:
        """The error object of the OpenAI API; within a stream, it is the last event."""
        family = "invalid_request_error" if self.status < 500 else "server_error"
        return {"error": {"message": str(self), "type": family, "param": None, "code": self.kind}}


def bad_request(message: str) -> GatewayError:
    """The request cannot be answered as it is."""
    return GatewayError(400, "invalid_request", message)


def revoked() -> GatewayError:
    """The release was taken out while it answered."""
    return GatewayError(
        503, "release_revoked", "The release that was answering has been revoked. Send the request again."
    )


def unavailable(message: str) -> GatewayError:
    """Nothing may answer now."""
    return GatewayError(503, "no_release", message, {"retry-after": "1"})


def too_busy(message: str) -> GatewayError:
    """Too many requests are waiting already."""
    return GatewayError(429, "too_busy", message, {"retry-after": "1"})


def too_slow(seconds: float) -> GatewayError:
    """The answer took too long."""
    return GatewayError(504, "timeout", f"The answer took more than {seconds:g} s and was ended. Ask for fewer tokens.")
