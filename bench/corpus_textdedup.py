"""text-dedup's side of `bench/corpus.py`: near duplicates alone, with its defaults, in an environment of its own."""

from __future__ import annotations

import argparse
import json
import resource
import sys
from pathlib import Path

from datasets import disable_progress_bars, load_from_disk
from text_dedup.minhash import main as minhash


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--measure", choices=["dedup"])
    parser.add_argument("--folder", type=Path)
    folder = parser.parse_args().folder
    place = folder / "textdedup"
    disable_progress_bars()
    options = {
        "path": "json",
        "data_files": str(folder / "documents/*.jsonl"),
        "split": "train",
        "cache_dir": str(place / "cache"),
        "output": str(place / "kept"),
        "column": "text",
        "num_proc": 1,
    }
    minhash([f"--{name}={value}" for name, value in options.items()], standalone_mode=False)
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    kept = load_from_disk(str(place / "kept"))["id"]
    seconds = sum(one.ru_utime + one.ru_stime for one in used)
    peak = max(one.ru_maxrss for one in used) / 1024
    print(json.dumps({"seconds": seconds, "peak_mb": peak, "kept": sorted(kept)}))


if __name__ == "__main__":
    sys.exit(main())
