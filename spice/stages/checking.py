"""The stage that tells whether something has changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from spice.config import Config
from spice.store import open_store

if TYPE_CHECKING:
    from spice.monitoring.report import DriftReport


@dataclass(frozen=True)
class DriftChecked:
    """A stored drift check: its reference and the report itself."""

    ref: str
    report: DriftReport


def drift_check(reference: str, current: str, config: Config) -> DriftChecked:
    """Compare documents, tasks or traffic with what they were, and store the report; see `spice.monitoring.drift`.

    Args:
        reference: `datasets/<name>[@<tag>]`, `runs/<run>` or `traffic/`; what was.
        current: likewise; what is. The same run twice: its first iterations against its last.
        config: section `drift`.
    """
    from spice.monitoring import drift, report

    store = open_store(config.store)
    found = drift.check(store, reference, current, config.drift)
    return DriftChecked(report.save(store, found), found)
