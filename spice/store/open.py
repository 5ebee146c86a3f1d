"""From configuration and environment to a store."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from spice.config import StoreConfig
from spice.errors import ConfigError
from spice.store.base import ObjectStore
from spice.store.folder import FolderStore
from spice.store.keys import check_key

if TYPE_CHECKING:
    from minio import Minio
    from urllib3 import PoolManager

_AMAZON = "s3.amazonaws.com"
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


def open_store(config: StoreConfig, environ: Mapping[str, str] = os.environ) -> ObjectStore:
    """The store that `config.url` names. Nothing is made or contacted before the first use.

    S3 credentials come from the environment alone: `SPICE_S3_ACCESS_KEY` and
    `SPICE_S3_SECRET_KEY`, else `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`;
    a session token stands in `SPICE_S3_SESSION_TOKEN` or `AWS_SESSION_TOKEN`.

    Raises:
        ConfigError: the address is not understood, or credentials are missing.
    """
    scheme, separator, rest = config.url.partition("://")
    if not separator:
        return FolderStore(Path(config.url))
    if scheme == "file" and rest.startswith("/"):
        return FolderStore(Path(rest))
    if scheme == "s3":
        return _open_s3(config, environ)
    raise ConfigError(f"store.url is {config.url!r}: expected a folder, or s3://bucket/prefix.")


def open_client(config: StoreConfig, environ: Mapping[str, str] = os.environ) -> tuple[Minio, PoolManager]:
    """A client of the S3 service that `config` names, and its connections. Nothing is contacted before the first use.

    Raises:
        ConfigError: the endpoint is not understood, or credentials are missing.
    """
    # Only those who use S3 pay for its client's import.
    from minio import Minio

    from spice.store.http import open_pool

    endpoint = config.endpoint or _AMAZON
    if "/" in endpoint:
        raise ConfigError(f"store.endpoint is {endpoint!r}: expected host:port; store.secure chooses TLS.")
    access_key, secret_key, token = _credentials(environ)
    http = open_pool(environ)
    # A region that is named spares a request for the bucket's location, which few policies allow.
    region = config.region or ("us-east-1" if config.endpoint else None)
    try:
        return Minio(endpoint, access_key, secret_key, token, config.secure, region, http), http
    except ValueError as error:
        raise ConfigError(f"store.endpoint is {endpoint!r}: {error}.") from error


def split_address(url: str, what: str) -> tuple[str, str]:
    """Bucket and prefix of `s3://bucket/prefix`, the prefix without slashes at its ends.

    Raises:
        ConfigError: this is not the name of a bucket; `what` says whose address it is.
    """
    address = urlsplit(url)
    if not _BUCKET.fullmatch(address.netloc):
        raise ConfigError(f"{what} is {url!r}: expected the name of a bucket, as in s3://bucket/prefix.")
    return address.netloc, address.path.strip("/")


def _open_s3(config: StoreConfig, environ: Mapping[str, str]) -> ObjectStore:
    from spice.store.s3 import S3Store

    bucket, prefix = split_address(config.url, "store.url")
    if prefix:
        check_key(prefix)
    client, http = open_client(config, environ)
    return S3Store(client, http, config.endpoint or _AMAZON, bucket, prefix)


def _credentials(environ: Mapping[str, str]) -> tuple[str, str, str | None]:
    for access, secret, token in (
        ("SPICE_S3_ACCESS_KEY", "SPICE_S3_SECRET_KEY", "SPICE_S3_SESSION_TOKEN"),
        ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
    ):
        if environ.get(access) and environ.get(secret):
            return environ[access], environ[secret], environ.get(token)
    raise ConfigError(
        "An s3:// address is named, but no credentials are in the environment. "
        "Set SPICE_S3_ACCESS_KEY and SPICE_S3_SECRET_KEY."
    )
