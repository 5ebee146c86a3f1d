"""Make the bucket of an S3 store as the guardrails want it: versions kept, and nothing deleted before its time."""

from __future__ import annotations

from dataclasses import dataclass

import urllib3
from minio import Minio
from minio.commonconfig import COMPLIANCE, ENABLED
from minio.error import MinioException, S3Error
from minio.objectlockconfig import DAYS, ObjectLockConfig
from minio.versioningconfig import VersioningConfig

from spice.errors import StoreError

_NO_LOCK = ("ObjectLockConfigurationNotFoundError", "NoSuchObjectLockConfiguration", "InvalidBucketState")


@dataclass(frozen=True)
class Prepared:
    """What was found or done.

    Attributes:
        bucket: its name.
        made: whether it is new.
        versioning: whether replaced and deleted objects are kept.
        lock_days: days for which no version can be deleted by anyone; 0 for none.
    """

    bucket: str
    made: bool
    versioning: bool
    lock_days: int


def prepare(client: Minio, endpoint: str, bucket: str, lock_days: int) -> Prepared:
    """Make the bucket if it is missing, switch versioning on, and lock new versions for `lock_days`.

    Doing it again changes nothing. A longer lock than the one asked for is left alone.

    Args:
        client: with the rights of the store's administrator.
        endpoint: host and port of the service, for messages.
        bucket: the bucket's name.
        lock_days: 0 asks for no lock. Compliance mode: nobody can shorten it afterwards, for what was written under it.

    Raises:
        StoreError: the service refused, or an existing bucket cannot be locked; nothing else was changed then.
    """
    try:
        made = not client.bucket_exists(bucket)
        if made:
            client.make_bucket(bucket, object_lock=lock_days > 0)
        days = _locked_days(client, bucket)
        if lock_days and days is None:
            raise StoreError(
                f"The bucket {bucket} was made without object lock, which cannot be added. Take another bucket, or ask "
                "for no lock with --lock-days 0; changes of the ledger are then found, but not prevented."
            )
        if client.get_bucket_versioning(bucket).status != ENABLED:
            client.set_bucket_versioning(bucket, VersioningConfig(ENABLED))
        if lock_days > (days or 0):
            client.set_object_lock_config(bucket, ObjectLockConfig(COMPLIANCE, lock_days, DAYS))
        return Prepared(bucket, made, client.get_bucket_versioning(bucket).status == ENABLED, max(lock_days, days or 0))
    except (MinioException, urllib3.exceptions.HTTPError) as error:
        raise StoreError(
            f"The bucket {bucket} at {endpoint} could not be prepared: {error}. Check the network, and that the "
            "credentials are those of an administrator of the store."
        ) from error


def _locked_days(client: Minio, bucket: str) -> int | None:
    """Days that new versions are locked for, `None` if the bucket knows no lock."""
    try:
        found = client.get_object_lock_config(bucket)
    except S3Error as error:
        if error.code in _NO_LOCK:
            return None
        raise
    return int(found.duration or 0) * (1 if found.duration_unit in (DAYS, None) else 365)
