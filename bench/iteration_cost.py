"""What an iteration costs as it gets larger: 1 to 64 documents, and the exponent of the growth.

    make bench-iteration                 or
    .venv/bin/python bench/iteration_cost.py [--most 64] [--rounds 3] [--out FILE]

Whole iterations of the smoke preset on the tiny model: attempts, answers,
rewards, update, new weights to the engine. Sizes are played in turns, so that
what else the machine does meets all of them alike; of each the quickest round
counts, in processor time, which a busy machine does not stretch.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from workload import machine

from spice.models import tiny
from spice.models.loading import load_tokenizer
from spice.rollout.open import open_engine
from spice.selfplay.types import Document
from spice.selfplay.verify import Verifier
from spice.settings import resolve
from spice.text.spans import SpanIndex
from spice.training.iteration import iterate
from spice.training.play import Players
from spice.training.seats import open_learner

FACT = "On {d} July {y} it got its own flag. In {z} Ben Bella built the iron bridge, {m} m high. It has {w} wilayas."


def documents(count: int) -> list[Document]:
    """Made-up documents of one length, no two alike."""
    texts = [FACT.format(d=1 + n % 28, y=1900 + n, z=1800 + n, m=10 + n, w=20 + n) for n in range(count)]
    return [Document(f"d{n}", f"d{n}.md", text) for n, text in enumerate(texts)]


def seconds(sizes: list[int], rounds: int) -> dict[int, list[float]]:
    """Processor seconds of an iteration, by documents."""
    config = resolve("smoke", environ={}, sets=["recipe.attempts=4", "recipe.max_attempts=4"]).config
    corpus = documents(max(sizes))
    index = SpanIndex((document.id, document.text) for document in corpus)
    found: dict[int, list[float]] = {size: [] for size in sizes}
    with tempfile.TemporaryDirectory() as temporary, Verifier() as verifier:
        folder = Path(temporary)
        tiny.build(folder)
        engine = open_engine(folder, config.model, config.rollout)
        learner = open_learner(folder, config)
        for round_ in range(rounds + 1):
            for size in sizes:
                recipe = config.recipe.model_copy(update={"batch_documents": size})
                players = Players(engine, load_tokenizer(folder), recipe, index, verifier)
                start = time.process_time()
                iterate(round_ + 1, corpus, players, engine, learner, recipe, seed=0)
                if round_:  # the first warms up
                    found[size].append(time.process_time() - start)
    return found


def exponent(found: dict[int, list[float]]) -> float:
    """Slope of log seconds over log documents, by least squares."""
    points = [(math.log(size), math.log(min(taken))) for size, taken in found.items()]
    return float(np.polyfit([x for x, _ in points], [y for _, y in points], 1)[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--most", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    sizes = [2**n for n in range(int(math.log2(args.most)) + 1)]
    found = seconds(sizes, args.rounds)
    upper = {size: taken for size, taken in found.items() if size >= 8}
    text = "\n".join(
        [
            "# What an iteration costs as it gets larger",
            "",
            f"`python bench/iteration_cost.py --most {args.most} --rounds {args.rounds}`, {datetime.now(UTC):%Y-%m-%d}",
            "",
            "| documents | processor seconds, quickest round | per document |",
            "|---|---|---|",
            *(f"| {size} | {min(taken):.2f} | {min(taken) / size:.3f} |" for size, taken in found.items()),
            "",
            f"Exponent: {exponent(found):.2f} over all sizes, {exponent(upper):.2f} from 8 documents on.",
            "",
            "Whole iterations of the smoke preset on the tiny model, one thread; 4 attempts a document, 4 answers a",
            "task, and processor time of this process alone.",
            f"On {machine('transformers')}.",
            "",
        ]
    )
    print(text)
    if args.out:
        args.out.write_text(text)


if __name__ == "__main__":
    main()
