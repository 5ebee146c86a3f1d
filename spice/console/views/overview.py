"""What somebody wants to know first: what is live, who waits for whom, and whether all is well."""

from __future__ import annotations

from datetime import datetime

from spice.config import PromotionConfig
from spice.console.records import Overview, Release
from spice.console.views import ledger, requests, runs
from spice.console.watch import Snapshot
from spice.store.base import ObjectStore

_RUNS = 5


def read(store: ObjectStore, seen: Snapshot, config: PromotionConfig, now: datetime) -> Overview:
    """The first page."""
    return Overview(
        switch=ledger.switch(seen),
        ledger=ledger.state(seen),
        live=live(seen),
        waiting=requests.waiting(seen, config, now),
        runs=runs.summaries(store)[:_RUNS],
    )


def live(seen: Snapshot) -> Release | None:
    """The promotion that made live what is live."""
    return next((one for one in reversed(ledger.releases(seen)) if one.checkpoint == seen.switch.live), None)
