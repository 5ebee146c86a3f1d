"""What the health signals cost: as a share of whole iterations, and with a million questions to remember.

    python bench/health_cost.py [--laptop] [--remembered 1000000] [--out FILE]

Processor time of this process alone, which a busy machine does not stretch. An iteration is everything from the
Challenger's first prompt to the new weights in the engine. What is written to the store is left out.
"""

from __future__ import annotations

import argparse
import random
import resource
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import torch
from scripted import passages
from workload import machine

from spice.arena import warmstarts, world
from spice.config import Config
from spice.models.catalog import locate
from spice.models.loading import load_tokenizer
from spice.rollout.open import open_engine
from spice.selfplay.alarms import alarms
from spice.selfplay.archive import QuestionArchive
from spice.selfplay.types import Document
from spice.selfplay.verify import Verifier
from spice.settings import resolve
from spice.text.spans import SpanIndex
from spice.training.iteration import iterate
from spice.training.play import Players
from spice.training.records import signals_of
from spice.training.seats import open_learner

WORDS = [
    f"{left}{right}" for left in ("ba", "cor", "del", "fin", "gra", "hul") for right in ("tan", "mos", "ver", "lin")
]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--laptop", action="store_true", help="also with the laptop preset's model; minutes")
    options.add_argument("--iterations", type=int, default=5)
    options.add_argument("--remembered", type=int, default=1_000_000)
    options.add_argument("--out", type=Path)
    chosen = options.parse_args()
    torch.set_num_threads(1)
    flags = f"{' --laptop' if chosen.laptop else ''} --iterations {chosen.iterations} --remembered {chosen.remembered}"
    lines = [
        "# What the health signals cost",
        "",
        f"`python bench/health_cost.py{flags}`, {datetime.now(UTC):%Y-%m-%d}",
        "",
        "| iteration | tasks | processor seconds | of them for signals and alarms | share |",
        "|---|---|---|---|---|",
    ]
    presets = ("arena", "smoke", "laptop") if chosen.laptop else ("arena", "smoke")
    lines += [share(preset, chosen.iterations) for preset in presets]
    lines += ["", *memory(chosen.remembered), "", f"On {machine('transformers')}.", ""]
    text = "\n".join(lines)
    print(text)
    if chosen.out:
        chosen.out.write_text(text)


def share(preset: str, iterations: int) -> str:
    """A row: whole iterations of a preset, and their signals; the first iteration warms up."""
    config, documents = setting(preset)
    folder = locate(config.model)
    index = SpanIndex((document.id, document.text) for document in documents)
    learner = open_learner(folder, config)
    engine = open_engine(folder, config.model, config.rollout)
    archive, history = QuestionArchive(), []
    tasks, whole, signalling = 0, 0.0, 0.0
    with Verifier() as verifier:
        players = Players(engine, load_tokenizer(folder), config.recipe, index, verifier)
        for iteration in range(iterations + 1):
            start = time.process_time()
            outcome = iterate(iteration + 1, documents, players, engine, learner, config.recipe, seed=0)
            between = time.process_time()
            found = signals_of(outcome, archive)
            alarms(found, history, config.health)
            history.append(found)
            if iteration:
                tasks += int(found["tasks"])
                whole += between - start
                signalling += time.process_time() - between
    return (
        f"| {preset} | {tasks / iterations:.0f} | {whole / iterations:.2f} | {signalling / iterations:.4f} "
        f"| {signalling / (whole + signalling):.2%} |"
    )


def setting(preset: str) -> tuple[Config, list[Document]]:
    """A preset's configuration, and documents for it."""
    if preset != "arena":
        return resolve(preset, environ={}).config, list(passages())
    place = world.find("ladder")
    warmstarts.ensure(place, 0)
    drawn = world.documents(place, 400, random.Random(0), reserved=False)
    documents = [Document(f"{number}", "arena", one.text) for number, one in enumerate(drawn)]
    return resolve(preset, environ={}, sets=[f"model.name={warmstarts.name(place, 0)}"]).config, documents


def memory(remembered: int) -> list[str]:
    """Sentences on an archive that was filled up."""
    archive = QuestionArchive()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    longest, start = 0.0, time.process_time()
    for batch in batches(remembered):
        at = time.process_time()
        archive.add(batch)
        longest = max(longest, time.process_time() - at)
    filling = time.process_time() - start
    took = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    known = next(batches(1000))
    start = time.process_time()
    seen = sum(archive.seen(question) for question in known)
    looking = (time.process_time() - start) / len(known)
    return [
        f"An archive of {len(archive):,} questions takes {took:.0f} MiB more at its peak than none. Looking up a known "
        f"question takes {1e6 * looking:.0f} microseconds, entering a question {1e6 * filling / remembered:.0f}; the "
        f"longest thousand took {longest:.2f} s, since the archive doubles in size from time to time. Of the first "
        f"thousand questions {seen} are found again."
    ]


def batches(count: int) -> Iterator[list[str]]:
    """Made-up questions, a thousand at a time, hardly two of them alike."""
    rng = random.Random(0)
    for first in range(0, count, 1000):
        yield [f"Which {' '.join(rng.sample(WORDS, 6))} is number {n * 7919}?" for n in range(first, first + 1000)]


if __name__ == "__main__":
    main()
