"""The page of `bench/corpus.py`."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from corpus_documents import COPIED, Generated

TITLES = {"all": "Gopher, C4 and FineWeb filters, near duplicates, writing", "dedup": "near duplicates alone"}
LEVELS = (0.95, 0.9, 0.85, 0.8, 0.75, 0.7)
ABOUT = """\
Words stand for tokens on our side; the peers count none. Language identification is on no side: datatrove downloads its
model. datatrove splits words with spaCy, which is most of its time. Its signature is that of its example, 14 bands of
8; ours is the default, which looks for similarities from 0.7 on and checks each pair that it finds. text-dedup has its
defaults: 250 hashes for similarities from 0.7 on, and no check of pairs."""

Rows = Mapping[tuple[str, str], Any]


def page(documents: Generated, rows: Rows, growth: Sequence[tuple[int, Any]]) -> str:
    """The page with all tables.

    Args:
        documents: those of the comparison.
        rows: by program and what it was asked: seconds, peak_mb, kept.
        growth: characters of text, with seconds and peak_mb.
    """
    tables = [_speeds(documents, rows), [ABOUT], _recall(documents, rows)]
    if len(growth) > 1:
        tables.append(_growth(growth))
    head = [
        "# Documents: SPICE and its peers",
        "",
        f"Written by `make bench-corpus` on {machine()}. {len(documents.names)} generated documents, "
        f"{documents.size / 1e6:.1f} MB of text, one in {COPIED} with a near copy. MB/s are per second of processor "
        "time on one core, children included.",
    ]
    return "\n\n".join("\n".join(lines) for lines in [head, *tables]) + "\n"


def _speeds(documents: Generated, rows: Rows) -> list[str]:
    mb = documents.size / 1e6
    lines = ["| | program | MB/s | SPICE is | peak MB |", "|---|---|---|---|---|"]
    for what, title in TITLES.items():
        ours = rows["SPICE", what]["seconds"]
        for (who, asked), one in rows.items():
            if asked == what:
                ratio = "" if who == "SPICE" else f"{one['seconds'] / ours:.1f} x as fast"
                lines.append(f"| {title} | {who} | {mb / one['seconds']:.2f} | {ratio} | {one['peak_mb']:.0f} |")
    return lines


def _recall(documents: Generated, rows: Rows) -> list[str]:
    """By true similarity the share of planted pairs of which one was dropped; and what else was dropped."""
    kept = {who: set(one["kept"]) for (who, what), one in rows.items() if what == "dedup"}
    lines = ["Planted pairs of which one was dropped, by the true Jaccard similarity of their 5-grams:", ""]
    lines += [f"| similarity | pairs | {' | '.join(kept)} |", "|---|---|" + "---|" * len(kept)]
    for level in LEVELS:
        pairs = [(a, b) for a, b, found in documents.planted if level <= found < level + 0.05]
        shares = [f"{sum(not {a, b} <= left for a, b in pairs) / max(1, len(pairs)):.3f}" for left in kept.values()]
        lines.append(f"| {level:.2f} to {level + 0.05:.2f} | {len(pairs)} | {' | '.join(shares)} |")
    copies = {name for a, b, _ in documents.planted for name in (a, b)}
    dropped = [set(documents.names) - left for left in kept.values()]
    precision = [f"{len(gone & copies) / max(1, len(gone)):.3f}" for gone in dropped]
    return [*lines, f"| precision | | {' | '.join(precision)} |"]


def _growth(growth: Sequence[tuple[int, Any]]) -> list[str]:
    lines = [
        f"Ingest as it is by default, one process. Time grows with size to the power of {exponent(growth):.3f}:",
        "",
        "| MB | processor seconds | MB/s | peak MB |",
        "|---|---|---|---|",
    ]
    return lines + [
        f"| {size / 1e6:.0f} | {one['seconds']:.1f} | {size / 1e6 / one['seconds']:.2f} | {one['peak_mb']:.0f} |"
        for size, one in growth
    ]


def exponent(growth: Sequence[tuple[int, Any]]) -> float:
    """Slope of the least-squares line through (log size, log seconds)."""
    points = [(math.log(size), math.log(one["seconds"])) for size, one in growth]
    x, y = (sum(axis) / len(points) for axis in zip(*points, strict=True))
    return sum((a - x) * (b - y) for a, b in points) / sum((a - x) ** 2 for a, _ in points)


def machine() -> str:
    """Processor, cores, and the version of Python."""
    name = next(_models(), "") or platform.processor() or platform.machine()
    return f"{name}, {os.cpu_count()} cores, Python {platform.python_version()}"


def _models() -> Iterator[str]:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            yield line.partition(":")[2].strip()
