"""Connections to an S3 service that tell a whole answer from one that was cut short.

Python's HTTP client takes a connection that ends among the headers for the end of the headers. Without a length it
then reads until the connection ends, which it has, and gives an empty object with status 200. A reader would say that
the object was changed.
"""

from __future__ import annotations

from collections.abc import Mapping

import certifi
import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ProtocolError
from urllib3.response import HTTPResponse

_CONNECT_SECONDS = 5.0
_READ_SECONDS = 60.0
_RETRIES = 3
_CONNECTIONS = 16
_NEVER_A_BODY = (204, 304)


def open_pool(environ: Mapping[str, str]) -> urllib3.PoolManager:
    """Connections that are tried again when they break; `SSL_CERT_FILE` names other certificates to trust."""
    pool = urllib3.PoolManager(
        maxsize=_CONNECTIONS,
        timeout=urllib3.Timeout(connect=_CONNECT_SECONDS, read=_READ_SECONDS),
        retries=urllib3.Retry(total=_RETRIES, backoff_factor=0.2, status_forcelist=[500, 502, 503, 504]),
        ca_certs=environ.get("SSL_CERT_FILE") or certifi.where(),
    )
    pool.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}
    return pool


class _Connection(HTTPConnection):
    def getresponse(self) -> HTTPResponse:  # type: ignore[override] # as in urllib3
        return _whole(super().getresponse())


class _SecureConnection(HTTPSConnection):
    def getresponse(self) -> HTTPResponse:  # type: ignore[override] # as in urllib3
        return _whole(super().getresponse())


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


def _whole(response: HTTPResponse) -> HTTPResponse:
    """The response, if its headers say how long it is. Raises `ProtocolError`, upon which urllib3 tries again."""
    told = (
        response.headers.get("content-length", "").isdigit() or response.headers.get("transfer-encoding") == "chunked"
    )
    if not told and response.status not in _NEVER_A_BODY:
        response.close()
        raise ProtocolError("Connection broken: the answer does not say how long it is")
    return response
