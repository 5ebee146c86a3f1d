"""The door to whatever computes the answers of one release."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any, Protocol

from spice.serving.requests import Request


class Backend(Protocol):
    """One release, ready to answer. Methods raise `GatewayError`."""

    async def answer(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        """The whole answer, an object of the OpenAI API.

        Args:
            request: what is asked.
            body: the same as an upstream server gets it.
        """
        ...

    def stream(self, request: Request, body: dict[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        """The answer in pieces, each an object of the OpenAI API; the last has no choices but the usage.

        Closing the iterator ends the work at once.
        """
        ...

    async def close(self) -> None:
        """Give memory and connections back; nobody is being answered any more."""
        ...
