"""Ingest against datatrove on the same documents: speed per core, memory, near duplicates found, and how time grows.

    make bench-corpus ARGS="--max-mb 100"

Documents are generated from the words of the factbook, with planted near copies whose true similarity is known. Each
measurement is a process of its own; speed is megabytes of text per second of processor time, children included, so
that other work on the machine weighs little. datatrove runs in an environment of its own, see the Makefile.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import random
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

REPO = Path(__file__).parents[1]
PEER = REPO / ".venv-bench/bin/python"
RESULTS = REPO / "bench/results/corpus.md"
FILE_BYTES = 4_000_000
LEVELS = (0.95, 0.9, 0.85, 0.8, 0.75, 0.7)
FILTERS = ["gopher_repetition", "gopher_quality", "c4", "fineweb"]
SIZES = (10, 30, 100, 300, 1000)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--mb", type=float, default=10, help="size of the comparison with datatrove")
    parser.add_argument("--max-mb", type=float, default=100, help="largest size of the measurement of growth")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure, options.folder)))
        return
    with tempfile.TemporaryDirectory(prefix="spice-bench-") as place:
        documents = generate(Path(place) / "documents", options.mb)
        rows = {}
        for what in ("all", "dedup"):
            rows["SPICE", what] = run([sys.executable, __file__], what, Path(place))
            rows["datatrove", what] = run([str(PEER), str(REPO / "bench/corpus_datatrove.py")], what, Path(place))
        growth = []
        for mb in (size for size in SIZES if size <= options.max_mb):
            folder = Path(place) / f"growth-{mb}"
            text = generate(folder / "documents", mb)
            growth.append((text["bytes"], run([sys.executable, __file__], "growth", folder)))
            print(f"growth: {mb} MB in {growth[-1][1]['seconds']:.1f} s of processor time", flush=True)
        page = report(documents, rows, growth)
    RESULTS.write_text(page)
    print(page)


def generate(folder: Path, mb: float, seed: int = 1) -> dict[str, Any]:
    """JSONL files with documents and planted near copies; returns bytes of text and the planted pairs by level."""
    folder.mkdir(parents=True)
    rng = random.Random(seed)
    words = [word for path in sorted((REPO / "examples/factbook").glob("*.md")) for word in path.read_text().split()]
    words = [word for word in words if word.isalpha()]
    planted: list[tuple[str, str, float]] = []
    names: list[str] = []
    size = count = 0
    out = None
    while size < mb * 1e6:
        original = prose(words, rng, rng.randint(200, 1200))
        texts = [(f"d{count}", original)]
        if count % 10 == 0:
            level = LEVELS[count // 10 % len(LEVELS)]
            copy = changed(original, level, words, rng)
            texts.append((f"c{count}", copy))
            planted.append((f"d{count}", f"c{count}", similarity(original, copy)))
        for name, text in texts:
            if out is None or out.tell() > FILE_BYTES:
                out = (folder / f"{len(list(folder.iterdir())):04d}.jsonl").open("w")
            out.write(json.dumps({"id": name, "text": text, "title": name}) + "\n")
            size += len(text)
            names.append(name)
        count += 1
    assert out is not None
    out.close()
    return {"bytes": size, "names": names, "planted": planted}


def prose(words: list[str], rng: random.Random, count: int) -> str:
    sentences = []
    while count > 0:
        length = rng.randint(8, 20)
        sentences.append(" ".join(rng.choices(words, k=length)).capitalize() + ".")
        count -= length
    return "\n\n".join(" ".join(sentences[i : i + 5]) for i in range(0, len(sentences), 5))


def changed(text: str, level: float, words: list[str], rng: random.Random) -> str:
    """The text with words replaced at even distances until its 5-grams have about that Jaccard similarity."""
    tokens = text.split(" ")
    surviving = 2 * level / (1 + level)
    replaced = round((1 - surviving) * len(tokens) / 5)
    offset = rng.random()
    for number in range(replaced):
        tokens[int((number + offset) * len(tokens) / replaced)] = rng.choice(words) + "x"
    return " ".join(tokens)


def similarity(a: str, b: str) -> float:
    """Jaccard similarity of their runs of five words, by the definition."""
    runs = [
        {tuple(words[i : i + 5]) for i in range(len(words) - 4)} for words in (a.lower().split(), b.lower().split())
    ]
    return len(runs[0] & runs[1]) / len(runs[0] | runs[1])


def run(command: list[str], what: str, place: Path) -> dict[str, Any]:
    """One measurement in a process of its own, on one core."""
    environ = {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
    arguments = [*command, "--measure", what, "--folder", str(place)]
    done = subprocess.run(arguments, env=environ, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)} failed:\n{done.stderr[-3000:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def measure(what: str, place: Path) -> dict[str, Any]:
    """Our side: everything, de-duplication alone, or everything without filters."""
    kept = set(dedup(place) if what == "dedup" else ingested(place, filtered=what == "all"))
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    seconds = sum(one.ru_utime + one.ru_stime for one in used)
    peak = max(one.ru_maxrss for one in used) / 1024
    return {"seconds": seconds, "peak_mb": peak, "kept": sorted(kept) if what != "growth" else []}


def ingested(place: Path, filtered: bool) -> Iterator[str]:
    from spice.config import CorpusConfig, StoreConfig
    from spice.corpus import dataset
    from spice.corpus.ingest import ingest
    from spice.store import open_store

    quality = {"c4": {"terminal_punctuation": False}}
    options = {"filters": FILTERS, "quality": quality} if filtered else {}
    config = CorpusConfig.model_validate({"held_out_share": 0.0, "workers": 1, **options})
    with tempfile.TemporaryDirectory() as store:
        opened = open_store(StoreConfig(url=store))
        ref = ingest([place / "documents"], "bench", opened, config, "words", count_words).ref
        if filtered:  # growth is that of ingest alone
            yield from {segment.title for segment in dataset.iterate(opened, ref)}


def count_words(texts: Any) -> list[int]:
    return [len(text.split()) for text in texts]


def dedup(place: Path) -> Iterator[str]:
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


def report(documents: dict[str, Any], rows: dict[tuple[str, str], Any], growth: list[tuple[int, Any]]) -> str:
    """The page with all tables."""
    mb = documents["bytes"] / 1e6
    lines = [
        "# Documents: SPICE and datatrove",
        "",
        f"`make bench-corpus` on {machine()}. {len(documents['names'])} generated documents, {mb:.1f} MB of text; "
        "MB/s are per second of processor time, on one core.",
        "",
        "| | SPICE MB/s | datatrove MB/s | ratio | SPICE peak MB | datatrove peak MB |",
        "|---|---|---|---|---|---|",
    ]
    titles = {"all": "Gopher, C4 and FineWeb filters, near duplicates, writing", "dedup": "near duplicates alone"}
    for what, title in titles.items():
        ours, theirs = rows["SPICE", what], rows["datatrove", what]
        lines.append(
            f"| {title} | {mb / ours['seconds']:.2f} | {mb / theirs['seconds']:.2f} | "
            f"{theirs['seconds'] / ours['seconds']:.1f} | {ours['peak_mb']:.0f} | {theirs['peak_mb']:.0f} |"
        )
    lines += [
        "",
        "Near copies that were found, by true Jaccard similarity of 5-grams (threshold: 0.8), and precision:",
        "",
    ]
    lines += recall_table(documents, rows)
    if len(growth) > 1:
        lines += ["", f"Growth, without filters; time grows with size to the power of {exponent(growth):.3f}:", ""]
        lines += ["| MB | processor seconds | MB/s | peak MB |", "|---|---|---|---|"]
        for size, one in growth:
            seconds = one["seconds"]
            lines.append(f"| {size / 1e6:.0f} | {seconds:.1f} | {size / 1e6 / seconds:.2f} | {one['peak_mb']:.0f} |")
    return "\n".join(lines) + "\n"


def recall_table(documents: dict[str, Any], rows: dict[tuple[str, str], Any]) -> list[str]:
    """By level the share of planted pairs of which one was dropped; and the share of planted ones among the dropped."""
    kept = {who: set(rows[who, "dedup"]["kept"]) for who in ("SPICE", "datatrove")}
    lines = ["| similarity | pairs | SPICE | datatrove |", "|---|---|---|---|"]
    for level in LEVELS:
        pairs = [(a, b) for a, b, found in documents["planted"] if abs(found - level) < 0.025]
        shares = [sum(not {a, b} <= kept[who] for a, b in pairs) / max(1, len(pairs)) for who in kept]
        lines.append(f"| {level:.2f} | {len(pairs)} | " + " | ".join(f"{share:.3f}" for share in shares) + " |")
    copies = {name for a, b, _ in documents["planted"] for name in (a, b)}
    dropped = [set(documents["names"]) - kept[who] for who in kept]
    precision = [len(gone & copies) / max(1, len(gone)) for gone in dropped]
    return [*lines, "| precision | | " + " | ".join(f"{share:.3f}" for share in precision) + " |"]


def exponent(growth: list[tuple[int, Any]]) -> float:
    """Slope of the least-squares line through (log size, log seconds)."""
    points = [(math.log(size), math.log(one["seconds"])) for size, one in growth]
    x, y = (sum(axis) / len(points) for axis in zip(*points, strict=True))
    return sum((a - x) * (b - y) for a, b in points) / sum((a - x) ** 2 for a, _ in points)


def machine() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    name = next((line.split(":")[1].strip() for line in lines if "model name" in line), "")
    return f"{name or platform.processor()}, {os.cpu_count()} cores, Python {platform.python_version()}"


if __name__ == "__main__":
    main()
