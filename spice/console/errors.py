"""Why the console does not do what a request asks for, beyond what the platform itself refuses."""

from __future__ import annotations

import math

from spice.errors import RefusedError, SpiceError


class UnauthenticatedError(RefusedError):
    """Nobody is logged in, or a token does not prove who its bearer is."""


class TooManyError(RefusedError):
    """Too often in too short a time; `seconds` until the next may come."""

    def __init__(self, seconds: float) -> None:
        self.seconds = max(1, math.ceil(seconds))
        super().__init__(f"That was too often in too short a time. Try again in {self.seconds} s.")


class UnavailableError(SpiceError):
    """The service that vouches for people cannot be asked; so nobody is believed."""
