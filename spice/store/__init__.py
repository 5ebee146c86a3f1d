"""Where everything that passes between stages lies: a folder, or a bucket of an S3 service."""

from spice.store.base import ObjectInfo, ObjectStore
from spice.store.open import open_store

__all__ = ["ObjectInfo", "ObjectStore", "open_store"]
