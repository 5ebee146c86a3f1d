"""The body of an answer as a stream that says in our words what went wrong."""

from __future__ import annotations

import io
from collections.abc import Callable

from urllib3 import BaseHTTPResponse
from urllib3.exceptions import HTTPError

from spice.errors import SpiceError


class Body(io.RawIOBase):
    """Bytes of a response, which is given back to its connection when all are read or the stream is closed.

    Args:
        response: not read yet.
        failed: the error for a connection that breaks.
        check: called before each read; raises when there is no more time.
    """

    def __init__(
        self,
        response: BaseHTTPResponse,
        failed: Callable[[HTTPError], SpiceError],
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self._response = response
        self._failed = failed
        self._check = check

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override] # as in io.BufferedReader
        """Read into `buffer`, at most as much as it holds."""
        self._check()
        try:
            chunk = self._response.read(len(buffer))
        except HTTPError as error:
            raise self._failed(error) from error
        buffer[: len(chunk)] = chunk
        return len(chunk)

    def close(self) -> None:
        """Let the connection go."""
        self._response.close()
        super().close()
