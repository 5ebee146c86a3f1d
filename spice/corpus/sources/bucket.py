"""Objects below a prefix of an S3 bucket."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from functools import partial
from typing import BinaryIO, cast

import urllib3
from minio import Minio
from minio.error import MinioException, S3Error

from spice.config import SourcesConfig, StoreConfig
from spice.corpus.document import UnreadableError
from spice.corpus.source import LeftOut, Opened, SourceItem
from spice.corpus.sources.body import Body
from spice.errors import CorpusError
from spice.store.open import open_client, split_address

_GONE = ("NoSuchKey", "NoSuchObject", "InvalidObjectState", "AccessDenied")


class BucketSource:
    """Items named by their address, listed page by page.

    Args:
        url: `s3://bucket/prefix`.
        config: names the service, unless it is the store's.
        store: endpoint, region and TLS.
        environ: holds the credentials, as for the store.

    Raises:
        ConfigError: not the name of a bucket, or credentials are missing.
    """

    def __init__(self, url: str, config: SourcesConfig, store: StoreConfig, environ: Mapping[str, str]) -> None:
        self._bucket, self._prefix = split_address(url, "the source")
        service = store.model_copy(update={"endpoint": config.s3_endpoint}) if config.s3_endpoint else store
        self._client, _ = open_client(service, environ)

    def items(self) -> Iterator[SourceItem | LeftOut]:
        """All objects. Raises `CorpusError` if the service does not list them."""
        prefix = f"{self._prefix}/" if self._prefix else ""
        empty = True
        try:
            for found in self._client.list_objects(self._bucket, prefix=prefix, recursive=True):
                key = str(found.object_name)
                if key.endswith("/"):
                    continue
                empty = False
                name = f"s3://{self._bucket}/{key}"
                if any(part.startswith(".") for part in key.removeprefix(prefix).split("/")):
                    yield LeftOut(name, "walk", "hidden")
                    continue
                # The etag changes with the bytes; it is no digest of them where they were sent in parts.
                version = f"{found.etag}-{found.size}" if found.etag else None
                yield SourceItem(
                    name, name, found.size, version, opened=partial(_open, self._client, self._bucket, key)
                )
        except (MinioException, urllib3.exceptions.HTTPError, OSError) as error:
            raise _unavailable(f"s3://{self._bucket}/{prefix}", error) from error
        if empty:
            raise CorpusError(f"There is no object in s3://{self._bucket}/{prefix}. Check the bucket and the prefix.")


def _open(client: Minio, bucket: str, key: str) -> Opened:
    address = f"s3://{bucket}/{key}"
    try:
        response = client.get_object(bucket, key)
    except S3Error as error:
        if error.code in _GONE:
            raise UnreadableError("cannot be opened", str(error.code)) from error
        raise _unavailable(address, error) from error
    except (MinioException, urllib3.exceptions.HTTPError, OSError) as error:
        raise _unavailable(address, error) from error
    body = Body(response, partial(_unavailable, address))
    return Opened(cast(BinaryIO, io.BufferedReader(body)))


def _unavailable(address: str, error: Exception) -> CorpusError:
    """A service that fails says nothing about a document, so nothing is left out: the ingest stops."""
    reason = getattr(error, "code", None) or " ".join(str(error).split())[:200]
    return CorpusError(f"{address} cannot be read: {reason}. See that the service answers, then run the same command.")
