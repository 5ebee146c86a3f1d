"""Questions to the services that vouch for people: JSON over HTTP, with limits on time and size."""

from __future__ import annotations

import ipaddress
import json
import os
from collections.abc import Mapping
from typing import Any, TypeVar
from urllib.parse import urlencode, urlsplit

import certifi
import urllib3
from pydantic import BaseModel, ValidationError

from spice.console.errors import UnavailableError

_SECONDS = 5.0
_MOST_BYTES = 2**20

T = TypeVar("T", bound=BaseModel)


def open_http(ca: str | None = None, environ: Mapping[str, str] = os.environ) -> urllib3.PoolManager:
    """Connections that trust the certificates in the file `ca`, else in `SSL_CERT_FILE`, else the usual ones."""
    return urllib3.PoolManager(
        timeout=_SECONDS, retries=False, ca_certs=ca or environ.get("SSL_CERT_FILE") or certifi.where()
    )


def ask(
    http: urllib3.PoolManager,
    model: type[T],
    url: str,
    *,
    form: Mapping[str, str] | None = None,
    body: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> T:
    """The answer to a GET, or to a POST of `form` or `body`, as a `model`.

    Redirects are not followed: secrets go to the address that was configured, and nowhere else.

    Raises:
        UnavailableError: there was no such answer.
    """
    sent = {"Accept": "application/json", **(headers or {})}
    data: bytes | None = None
    if form is not None:
        data, sent["Content-Type"] = urlencode(form).encode(), "application/x-www-form-urlencoded"
    elif body is not None:
        data, sent["Content-Type"] = json.dumps(body).encode(), "application/json"
    try:
        response = http.request(
            "GET" if data is None else "POST", url, body=data, headers=sent, redirect=False, preload_content=False
        )
        answer = response.read(_MOST_BYTES + 1)
        response.close()
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise UnavailableError(f"{url} cannot be asked who somebody is: {error}") from error
    if not 200 <= response.status < 300 or len(answer) > _MOST_BYTES:
        raise UnavailableError(f"{url} did not say who somebody is: status {response.status}, {len(answer)} bytes.")
    try:
        return model.model_validate(json.loads(answer))
    except (ValueError, ValidationError) as error:
        raise UnavailableError(f"{url} did not answer as was expected: {error}") from error


def is_secure(url: str) -> bool:
    """Whether nobody between can read or change what is sent there: https, or on this machine."""
    parts = urlsplit(url)
    return bool(parts.hostname) and (parts.scheme == "https" or (parts.scheme == "http" and _is_here(parts.hostname)))


def _is_here(host: str | None) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False
