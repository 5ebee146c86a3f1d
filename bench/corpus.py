"""Ingest against its peers on the same documents: speed per core, memory, near copies found, and how time grows.

    make bench-corpus ARGS="--max-mb 1000"

Each measurement is a process of its own; speed is megabytes of text per second
of processor time, children included, so that other work on the machine weighs
little. The peers run in an environment of their own, see the Makefile. The page
`bench/results/corpus.md` is written by this program alone.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import corpus_report
from corpus_documents import REPO, generate

PEERS = {"datatrove": ("all", "dedup"), "text-dedup": ("dedup",)}
"""Programs beside this one that measure a peer, and what each can do."""
PYTHONS = {"datatrove": REPO / ".venv-bench/bin/python", "text-dedup": REPO / ".venv-textdedup/bin/python"}
RESULTS = REPO / "bench/results/corpus.md"
FILTERS = ["gopher_repetition", "gopher_quality", "c4", "fineweb"]
SIZES = (10, 30, 100, 300, 1000)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--mb", type=float, default=10, help="size of the comparison with the peers")
    parser.add_argument("--max-mb", type=float, default=100, help="largest size of the measurement of growth")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure, options.folder)))
        return
    with tempfile.TemporaryDirectory(prefix="spice-bench-") as place:
        documents, rows = compared(Path(place), options.mb)
        growth: list[tuple[int, Any]] = []
        RESULTS.write_text(corpus_report.page(documents, rows, growth))
        for mb in (size for size in SIZES if size <= options.max_mb):
            growth.append(grown(Path(place) / f"{mb}", mb))
            # After each size, since the largest take long and may be cut short.
            RESULTS.write_text(corpus_report.page(documents, rows, growth))
    print(RESULTS.read_text())


def compared(place: Path, mb: float) -> tuple[Any, dict[tuple[str, str], Any]]:
    """The documents, and what each program made of them, by its name and what it was asked."""
    documents = generate(place / "documents", mb)
    rows = {("SPICE", what): run([sys.executable, __file__], what, place) for what in ("all", "dedup")}
    for peer, asked in PEERS.items():
        if not PYTHONS[peer].exists():
            print(f"{peer} is NOT measured: {PYTHONS[peer]} is not there. Run `make bench-peers`.", file=sys.stderr)
            continue
        for what in asked:
            rows[peer, what] = run(
                [str(PYTHONS[peer]), str(REPO / f"bench/corpus_{peer.replace('-', '')}.py")], what, place
            )
            print(f"{peer}, {what}: {rows[peer, what]['seconds']:.1f} s of processor time", flush=True)
    return documents, rows


def grown(place: Path, mb: float) -> tuple[int, Any]:
    """Characters of text, and what ingesting them took; nothing stays on the disk."""
    size = generate(place / "documents", mb).size
    found = run([sys.executable, __file__], "growth", place)
    shutil.rmtree(place)
    print(f"{mb} MB: {found['seconds']:.1f} s of processor time, {found['peak_mb']:.0f} MB at most", flush=True)
    return size, found


def run(command: list[str], what: str, place: Path) -> dict[str, Any]:
    """One measurement in a process of its own, on one core."""
    environ = {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
    arguments = [*command, "--measure", what, "--folder", str(place)]
    done = subprocess.run(arguments, env=environ, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)} failed:\n{done.stderr[-3000:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def measure(what: str, place: Path) -> dict[str, Any]:
    """Our side: everything, de-duplication alone, or ingest as it is by default."""
    kept = sorted(dedup(place) if what == "dedup" else ingested(place, filtered=what == "all"))
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    seconds = sum(one.ru_utime + one.ru_stime for one in used)
    return {"seconds": seconds, "peak_mb": max(one.ru_maxrss for one in used) / 1024, "kept": kept}


def ingested(place: Path, filtered: bool) -> Iterator[str]:
    """Names of the documents that are kept; of growth, where nobody asks for them, none."""
    from spice.config import CorpusConfig, StoreConfig
    from spice.corpus import dataset
    from spice.corpus.ingest import ingest
    from spice.store import open_store

    quality = {"c4": {"terminal_punctuation": False}}
    options = {"filters": FILTERS, "quality": quality} if filtered else {}
    config = CorpusConfig.model_validate({"held_out_share": 0.0, "workers": 1, **options})
    with tempfile.TemporaryDirectory(dir=place) as store:
        opened = open_store(StoreConfig(url=store))
        ref = ingest([place / "documents"], "bench", opened, config, "words", count_words).ref
        if filtered:
            yield from {segment.title for segment in dataset.iterate(opened, ref)}


def count_words(texts: Any) -> list[int]:
    return [len(text.split()) for text in texts]


def dedup(place: Path) -> Iterator[str]:
    """Names of the documents that are no near copies."""
    import numpy as np

    from spice.config import CorpusConfig
    from spice.corpus import near_duplicates as nd
    from spice.corpus.clean import clean
    from spice.corpus.prepare import word_sequence

    config = CorpusConfig()
    names, bands, where = [], [], []
    for path in sorted((place / "documents").iterdir()):
        with path.open("rb") as file:
            position = 0
            for line in file:
                row = json.loads(line)
                names.append(row["id"])
                where.append((path, position))
                position += len(line)
                bands.append(nd.band_hashes(nd.runs(word_sequence(clean(row["text"]))), *nd.bands_of(config)))

    def load(index: int) -> Any:
        path, position = where[index]
        with path.open("rb") as file:
            file.seek(position)
            return nd.shingles(word_sequence(clean(json.loads(file.readline())["text"])))

    found = nd.near_duplicates(np.stack(bands).T, len(names), load, config.near_duplicate_threshold)
    for name, original in zip(names, found.of, strict=True):
        if original < 0:
            yield name


if __name__ == "__main__":
    main()
