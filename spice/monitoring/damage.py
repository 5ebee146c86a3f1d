"""Objects that are there and cannot be read: they become a metric, and never stop the exporter."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import TypeVar

from spice.errors import IntegrityError, NotFoundError, RefusedError
from spice.monitoring.metrics import Family, Sample

KINDS = ("run", "iteration", "evaluation", "decision", "drift", "request")
FAMILIES = (
    Family(
        "spice_store_damaged_objects", "Objects that are not what they should be, as far as they were read.", ("kind",)
    ),
)

T = TypeVar("T")
_log = logging.getLogger(__name__)


class Damage:
    """Remembers which objects were damaged when they were last read."""

    def __init__(self) -> None:
        self._known: dict[str, set[str]] = {kind: set() for kind in KINDS}

    def guard(self, kind: str, key: str, read: Callable[[], T]) -> T | None:
        """What `read` returns, or `None` if the object is not there or is damaged.

        Raises:
            StoreError: the store itself failed.
        """
        known = self._known[kind]
        try:
            found = read()
        except NotFoundError:
            known.discard(key)
            return None
        except (IntegrityError, RefusedError) as error:
            if key not in known:
                _log.warning("%s", error)
            known.add(key)
            return None
        known.discard(key)
        return found

    def has(self, kind: str, key: str) -> bool:
        """Whether the object was damaged when it was last read."""
        return key in self._known[kind]

    def samples(self) -> Iterator[Sample]:
        """How many objects of each kind are damaged."""
        for kind, keys in self._known.items():
            yield Sample("spice_store_damaged_objects", len(keys), {"kind": kind})
