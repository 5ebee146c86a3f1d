"""One self-contained page per dataset version, for a person to check in a minute what ingest made of the documents.

Like the page of a run it loads nothing; names and passages are strangers', so the template escapes everything.
"""

from __future__ import annotations

import hashlib
import heapq
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from markupsafe import Markup

from spice.corpus import dataset
from spice.corpus.dataset import Cluster
from spice.corpus.source import LeftOut
from spice.reporting.report import environment, style
from spice.store import ObjectStore

REPORT = "report.html"

_SAMPLES = 4
_CLUSTERS = 12
_MEMBERS = 5
_PASSAGE = 300

STEPS = {
    "walk": "Passed over: hidden, links, special files",
    "read": "Could not be read",
    "part": "Parts that are missing from documents",
    "clean": "Without text",
    "erased": "Erased by a decision",
    "screen": "Quarantined: speaks to a model",
    "personal": "Personal data",
    "language": "Language",
    "gibberish": "Filter gibberish: encoded data",
    "gopher_repetition": "Filter gopher_repetition: repeats itself (Rae et al. 2021)",
    "gopher_quality": "Filter gopher_quality: no prose (Rae et al. 2021)",
    "c4": "Filter c4: no sentences, code, placeholders (Raffel et al. 2020)",
    "fineweb": "Filter fineweb: lists, short lines (Penedo et al. 2024)",
    "duplicate": "Exact duplicates",
    "near_duplicate": "Near duplicates",
    "segment": "Too short",
}


@dataclass
class Group:
    """Documents that share a kept one, which is not among them."""

    kept: str
    size: int = 0
    least: float = 1.0
    members: list[Cluster] = field(default_factory=list)
    """The first few."""


def build(store: ObjectStore, ref: str) -> str:
    """Write `report.html` beside a version and say where it is. Raises as `spice.corpus.dataset.load` does."""
    key = f"{ref}/{REPORT}"
    store.put(key, render(store, ref).encode())
    return f"{store.url.rstrip('/')}/{key}"


def render(store: ObjectStore, ref: str) -> str:
    """The page about a version as HTML."""
    manifest = dataset.manifest(store, ref)
    samples = _samples(LeftOut(**json.loads(line)) for line in dataset.left_out(store, ref))
    counts: dict[str, int] = manifest["counts"]
    kept = {split: counts.get(f"documents_{split}", 0) for split in dataset.SPLITS}
    found_in: dict[str, dict[str, int]] = manifest.get("steps", {})  # versions that the arena makes have none
    steps = [(name, title, found_in[name]) for name, title in STEPS.items() if name in found_in]
    steps += [(name, name, reasons) for name, reasons in found_in.items() if name not in STEPS]
    found = sum(kept.values()) + sum(sum(reasons.values()) for name, _, reasons in steps if name != "part")
    return (
        environment()
        .get_template("documents.html.j2")
        .render(
            ref=ref,
            manifest={"warnings": [], "notes": {}, "changed": {}, "tokenizer": "", "config": {}, **manifest},
            counts=counts,
            kept=kept,
            found=found,
            steps=steps,
            samples=samples,
            tables={"format": _rows(manifest.get("formats", {})), "place": _rows(manifest.get("places", {}))},
            groups=_groups(lambda: dataset.clusters(store, ref)),
            cut=_PASSAGE,
            style=Markup(style()),
        )
    )


def _samples(items: Iterable[LeftOut]) -> Mapping[tuple[str, str], list[LeftOut]]:
    """A few of each step and reason, drawn by the hash of their names: as good as at random, and the same each time."""
    heaps: dict[tuple[str, str], list[tuple[int, int, LeftOut]]] = defaultdict(list)
    for number, item in enumerate(items):
        drawn = int.from_bytes(hashlib.blake2b(item.source.encode(), digest_size=8).digest())
        heap = heaps[item.stage, item.reason]
        add = heapq.heappush if len(heap) < _SAMPLES else heapq.heappushpop
        add(heap, (-drawn, number, item))
    chosen = {key: sorted((item for *_, item in heap), key=lambda one: one.source) for key, heap in heaps.items()}
    return defaultdict(list, chosen)


def _groups(clusters: Callable[[], Iterable[Cluster]]) -> list[Group]:
    """The largest groups of copies; of all others only their sizes are held."""
    keys, counts = np.unique(np.fromiter(map(_key, clusters()), np.uint64), return_counts=True)

    def ranked(cluster: Cluster) -> tuple[int, str, str]:
        return -int(counts[np.searchsorted(keys, _key(cluster))]), cluster.kept_source, cluster.kept_id

    largest = set(_least(map(ranked, clusters())))
    groups: dict[str, Group] = {}
    for cluster in clusters():
        if ranked(cluster) in largest:
            group = groups.setdefault(cluster.kept_id, Group(cluster.kept_source))
            group.size += 1
            group.least = min(group.least, cluster.similarity)
            if len(group.members) < _MEMBERS:
                group.members.append(cluster)
    return sorted(groups.values(), key=lambda group: (-group.size, group.kept))


def _least(ranks: Iterable[tuple[int, str, str]]) -> list[tuple[int, str, str]]:
    """The first few of all different ranks."""
    least: list[tuple[int, str, str]] = []
    for rank in ranks:
        if rank not in least and (len(least) < _CLUSTERS or rank < least[-1]):
            least = sorted([*least, rank])[:_CLUSTERS]
    return least


def _key(cluster: Cluster) -> int:
    """The first eight bytes of the digest of the kept document."""
    return int(cluster.kept_id[:16], 16)


def _rows(counted: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, int, int]]:
    """Name, kept and left out, the most frequent first."""
    rows = [(name, int(row.get("kept", 0)), int(row.get("left out", 0))) for name, row in counted.items()]
    return sorted(rows, key=lambda row: (-row[1] - row[2], row[0]))
