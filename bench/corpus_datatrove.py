"""datatrove's side of `bench/corpus.py`; runs in an environment of its own."""

from __future__ import annotations

import argparse
import gzip
import json
import resource
import sys
from pathlib import Path

from datatrove.executor.local import LocalPipelineExecutor
from datatrove.pipeline.dedup import MinhashDedupCluster, MinhashDedupFilter, MinhashDedupSignature
from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupBuckets
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
)
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers.jsonl import JsonlWriter
from datatrove.utils.hashing import HashConfig

CONFIG = MinhashConfig(hash_config=HashConfig(precision=64), num_buckets=14, hashes_per_bucket=8, n_grams=5)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--measure")
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    place = options.folder / f"datatrove-{options.measure}"
    source = str(options.folder / "documents")
    if options.measure == "all":
        filtered = str(place / "filtered")
        steps = [
            JsonlReader(source, text_key="text", id_key="id"),
            GopherRepetitionFilter(),
            GopherQualityFilter(),
            C4QualityFilter(filter_no_terminal_punct=False),
            FineWebQualityFilter(),
            JsonlWriter(filtered),
        ]
        execute(steps, place / "logs-filters")
        source = filtered
    for number, steps in enumerate(dedup(source, place)):
        # Its second step wants a task for each bucket; they run one after the other.
        execute(steps, place / f"logs-{number}", tasks=CONFIG.num_buckets if number == 1 else 1)
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    kept = []
    for path in (place / "kept").glob("*.jsonl.gz"):
        kept += [json.loads(line)["id"] for line in gzip.decompress(path.read_bytes()).splitlines()]
    seconds = sum(one.ru_utime + one.ru_stime for one in used)
    peak = max(one.ru_maxrss for one in used) / 1024
    print(json.dumps({"seconds": seconds, "peak_mb": peak, "kept": sorted(kept)}))


def dedup(source: str, place: Path) -> list[list[object]]:
    """Signatures, buckets, clusters and filter, as datatrove's example has them."""
    reader = JsonlReader(source, text_key="text", id_key="id")
    signatures, buckets, removed = (str(place / name) for name in ("signatures", "buckets", "removed"))
    return [
        [reader, MinhashDedupSignature(output_folder=signatures, config=CONFIG)],
        [MinhashDedupBuckets(input_folder=signatures, output_folder=buckets, config=CONFIG)],
        [MinhashDedupCluster(input_folder=buckets, output_folder=removed, config=CONFIG)],
        [
            JsonlReader(source, text_key="text", id_key="id"),
            MinhashDedupFilter(input_folder=removed),
            JsonlWriter(str(place / "kept")),
        ],
    ]


def execute(steps: list[object], logs: Path, tasks: int = 1) -> None:
    LocalPipelineExecutor(steps, tasks=tasks, workers=1, logging_dir=str(logs)).run()


if __name__ == "__main__":
    sys.exit(main())
