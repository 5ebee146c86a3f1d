"""A store in a bucket of any S3 service, through the `minio` client.

`create` and `swap` are PUTs with `If-None-Match: *` and `If-Match: <etag>`. The
client has no public way to send these headers, so they go to a presigned URL.
A service that ignores them would let two writers win: `probe` finds that out.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree

import urllib3
from minio import Minio
from minio.commonconfig import COMPLIANCE, ENABLED
from minio.error import MinioException, S3Error
from minio.retention import Retention

from spice.errors import ConflictError, NotFoundError, StoreError
from spice.store import setup
from spice.store.base import ObjectInfo
from spice.store.disk import explained
from spice.store.keys import check_key, check_prefix
from spice.store.setup import Prepared

_ATTEMPTS = 4
_PART_BYTES = 16 * 2**20  # files above this are sent in parts of this size, three at a time
_COPY_BYTES = 2**20
_WHOLE_ETAG = re.compile(r'"([^"]+)"')  # of a broken connection, the client may see the beginning of a header
_DENIED = (
    "AccessDenied",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "ExpiredToken",
)


class S3Store:
    """Objects below `prefix` in `bucket`, which must exist.

    Args:
        client: the client of the service; it must use `http`.
        http: the connections, for conditional writes.
        endpoint: host and port of the service, for messages.
        bucket: name of the bucket.
        prefix: where in the bucket the store begins, without slashes at its ends; may be empty.
    """

    def __init__(self, client: Minio, http: urllib3.PoolManager, endpoint: str, bucket: str, prefix: str) -> None:
        self._client = client
        self._http = http
        self._endpoint = endpoint
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""

    @property
    def url(self) -> str:
        """The bucket and prefix, `s3://bucket/prefix`."""
        return f"s3://{self._bucket}/{self._prefix}".rstrip("/")

    def put(self, key: str, data: bytes) -> None:
        """Write `data` under `key`, atomically, replacing what is there."""
        with self._explained(f"{key} could not be written"):
            self._client.put_object(self._bucket, self._name(key), io.BytesIO(data), len(data), part_size=_PART_BYTES)

    def put_file(self, key: str, path: Path) -> None:
        """Write the file at `path` under `key`, atomically, without holding it in memory."""
        with (
            explained(f"{path} cannot be read to be stored", path.parent),
            path.open("rb") as file,
            self._explained(f"{key} could not be written"),
        ):
            size = path.stat().st_size
            self._client.put_object(self._bucket, self._name(key), file, size, part_size=_PART_BYTES)

    def get(self, key: str) -> bytes:
        """Read one object. Raises `NotFoundError`."""
        return self._get(key)[0]

    def get_file(self, key: str, path: Path) -> None:
        """Read one object into a file, atomically. Raises `NotFoundError`."""
        temporary = path.with_name(f".{uuid.uuid4().hex}")
        with explained(f"{key} could not be copied to {path}", path.parent):
            try:
                with (
                    self._explained(f"{key} could not be read"),
                    self._response(key) as response,
                    temporary.open("xb") as file,
                ):
                    for chunk in response.stream(_COPY_BYTES):
                        file.write(chunk)
                temporary.replace(path)
            finally:
                temporary.unlink(missing_ok=True)

    def head(self, key: str) -> ObjectInfo | None:
        """Describe one object, or `None` if there is none."""
        try:
            with self._explained(f"{key} could not be looked up"):
                found = self._client.stat_object(self._bucket, self._name(key))
        except NotFoundError:
            return None
        return ObjectInfo(key, found.size or 0, _seconds(found.last_modified))

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Every object whose key begins with `prefix`, in order of key."""
        start = self._prefix + check_prefix(prefix)
        with self._explained(f"{prefix or 'the store'} could not be listed"):
            found = [
                ObjectInfo(str(entry.object_name)[len(self._prefix) :], entry.size or 0, _seconds(entry.last_modified))
                for entry in self._client.list_objects(self._bucket, prefix=start, recursive=True)
            ]
        yield from sorted(found, key=lambda info: info.key)  # some services list folder by folder, so a/b before a-b

    def delete(self, key: str) -> None:
        """Remove one object; removing what is not there is no error."""
        with self._explained(f"{key} could not be removed"):
            self._client.remove_object(self._bucket, self._name(key))

    def create(self, key: str, data: bytes) -> None:
        """Write an object that must not exist yet. Raises `ConflictError` if it does; one of many racers wins."""
        self._put_if(key, data, {"If-None-Match": "*"}, "already exists and is never written again")

    def read(self, key: str) -> tuple[bytes, str] | None:
        """Read a pointer with the etag that `swap` wants, or `None` if there is none."""
        try:
            return self._get(key)
        except NotFoundError:
            return None

    def swap(self, key: str, data: bytes, expected: str | None) -> str:
        """Replace a pointer only if its etag is still `expected` (`None`: it must not exist).

        Returns the new etag. Raises `ConflictError` if another writer was first.
        """
        condition = {"If-None-Match": "*"} if expected is None else {"If-Match": f'"{expected}"'}
        return self._put_if(key, data, condition, "was changed by another writer; read it again, then decide")

    def leftovers(self) -> Iterator[ObjectInfo]:
        """Nothing: the service hides unfinished uploads, and a lifecycle rule of the bucket removes them."""
        return iter(())

    def remove_leftover(self, key: str) -> None:
        """Nothing to remove, since `leftovers` yields nothing."""

    def keeps_versions(self) -> bool:
        """Whether the bucket's versioning is on."""
        with self._explained("the bucket's versioning could not be read"):
            return bool(self._client.get_bucket_versioning(self._bucket).status == ENABLED)

    def refuses_deletion(self, key: str, until: datetime) -> bool:
        """Write a version under `key`, locked until `until`, and try to delete it: whether that was refused.

        The locked version stays behind until its time has passed; `list` does not show it.
        """
        name = self._name(key)
        with self._explained(f"{key} could not be written to try its lock"):
            try:
                written = self._client.put_object(
                    self._bucket, name, io.BytesIO(b"lock"), 4, retention=Retention(COMPLIANCE, until)
                )
            except S3Error as error:
                if error.code in ("InvalidRequest", "NotImplemented", "ObjectLockConfigurationNotFoundError"):
                    return False
                raise
            try:
                self._client.remove_object(self._bucket, name, version_id=written.version_id)
            except S3Error as error:
                if error.code != "AccessDenied":
                    raise
                self._client.remove_object(self._bucket, name)
                return True
        return False

    def prepare(self, lock_days: int) -> Prepared:
        """Make the bucket if it is missing, with versions and a lock; see `spice.store.setup`. Needs all rights."""
        return setup.prepare(self._client, self._endpoint, self._bucket, lock_days)

    def _name(self, key: str) -> str:
        return self._prefix + check_key(key)

    def _get(self, key: str) -> tuple[bytes, str]:
        """One object and its etag; read again if the connection breaks on the way, since pools only repeat requests."""
        with self._explained(f"{key} could not be read"):
            for attempt in range(_ATTEMPTS - 1):
                try:
                    return self._get_once(key)
                except urllib3.exceptions.ProtocolError:
                    time.sleep(0.1 * 2**attempt)
            return self._get_once(key)

    def _get_once(self, key: str) -> tuple[bytes, str]:
        with self._response(key) as response:
            return response.read(), response.headers.get("etag", "").strip('"')

    @contextmanager
    def _response(self, key: str) -> Iterator[urllib3.BaseHTTPResponse]:
        response = self._client.get_object(self._bucket, self._name(key))
        try:
            yield response
        finally:
            response.close()
            response.release_conn()

    def _put_if(self, key: str, data: bytes, condition: dict[str, str], refusal: str) -> str:
        """PUT `data` if `condition` holds, and return its etag.

        If a connection breaks, the write may have been made all the same. The
        repetition is then refused, and only the bytes say who the winner was.
        The checksum lets the service refuse a body that was cut short.
        """
        headers = {
            **condition,
            "Content-MD5": base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode(),
        }
        unclear = False
        with self._explained(f"{key} could not be written"):
            url = self._client.get_presigned_url("PUT", self._bucket, self._name(key), expires=timedelta(minutes=5))
        for attempt in range(_ATTEMPTS):
            try:
                response = self._http.request("PUT", url, body=data, headers=headers, retries=False)
            except urllib3.exceptions.HTTPError as error:
                problem: object = error
            else:
                code = _error_code(response)
                if response.status == 200 and (etag := _WHOLE_ETAG.fullmatch(response.headers.get("etag", ""))):
                    return etag[1]
                if response.status in (409, 412) or code == "NoSuchKey":
                    current = self.read(key) if unclear else None
                    if current and current[0] == data:
                        return current[1]
                    raise ConflictError(f"{key} in {self.url} {refusal}.")
                problem = code or f"status {response.status}"
                if 200 < response.status < 500:
                    break
            unclear = True
            time.sleep(0.1 * 2**attempt)
        raise self._failure(f"{key} could not be written", str(problem))

    @contextmanager
    def _explained(self, problem: str) -> Iterator[None]:
        """Turn what the client raises into a `StoreError` that says what to do."""
        try:
            yield
        except S3Error as error:
            if error.code == "NoSuchKey":
                raise NotFoundError(f"{problem}: it is not in the store {self.url}.") from error
            raise self._failure(problem, error.code or "") from error
        except (MinioException, urllib3.exceptions.HTTPError) as error:
            raise self._failure(problem, str(error)) from error

    def _failure(self, problem: str, reason: str) -> StoreError:
        if reason == "NoSuchBucket":
            advice = f"there is no bucket {self._bucket} at {self._endpoint}. Make it, or correct store.url."
        elif reason in _DENIED:
            advice = (
                f"{self._endpoint} refused ({reason}). Check the credentials in SPICE_S3_ACCESS_KEY and "
                f"SPICE_S3_SECRET_KEY, and what they may do in the bucket {self._bucket}."
            )
        else:
            advice = f"{self._endpoint} did not do it ({reason}). Check store.endpoint, store.secure and the network."
        return StoreError(f"{problem} in {self.url}: {advice}")


def _error_code(response: urllib3.BaseHTTPResponse) -> str:
    """The `Code` of an S3 error document, or nothing."""
    try:
        return ElementTree.fromstring(response.data).findtext("{*}Code") or ""
    except ElementTree.ParseError:
        return ""


def _seconds(moment: datetime | None) -> float:
    return moment.timestamp() if moment else 0.0
