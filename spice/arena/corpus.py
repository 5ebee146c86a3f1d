"""A world's documents as a dataset version, and its test."""

from __future__ import annotations

import hashlib
import json
import random
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from spice import __version__
from spice.arena.world import World, documents, solve, work_out
from spice.corpus.dataset import SPLITS, Segment, ShardWriter, Split
from spice.evaluation.items import Item, Suite
from spice.selfplay.answers import extract_boxed
from spice.selfplay.ladder import STEPS, Computation
from spice.selfplay.types import Task, Verdict
from spice.store import ObjectStore, artifacts
from spice.store.canonical import JSON

DOCUMENTS, HELD_OUT_DOCUMENTS = 1600, 160
TEST_LENGTHS = range(3, STEPS + 1)
TEST_PER_LENGTH, TUNING_PER_LENGTH = 90, 45
SUITE = "arena"

Part = Literal["test", "tuning"]


def store_documents(store: ObjectStore, world: World) -> str:
    """Write the world's documents and return their reference, the same whenever and wherever it is done.

    What may be asked about the held-out documents is kept for the test, see `spice.selfplay.ladder.is_reserved`.
    """
    rng = random.Random(f"documents of {world.name}")
    drawn = {
        "train": documents(world, DOCUMENTS, rng, reserved=False),
        "held_out": documents(world, HELD_OUT_DOCUMENTS, rng, reserved=True),
    }
    name = f"arena-{world.name}"
    with tempfile.TemporaryDirectory(prefix="spice-arena-") as folder:
        writer = ShardWriter(Path(folder))
        for split in SPLITS:
            for row, computation in enumerate(drawn[split], start=1):
                writer.add(_segment(computation, f"{world.name}-{split}.txt", row, split))
        writer.flush()
        counts: dict[str, JSON] = {f"documents_{split}": len(drawn[split]) for split in SPLITS}
        fields: dict[str, JSON] = {"kind": "dataset", "name": name, "code_version": __version__, "counts": counts}
        return artifacts.write(store, f"datasets/{name}", dict(writer.files), fields)


def exam(world: World, part: Part = "test") -> Suite:
    """The test: 720 questions of three to ten operations, graded by the oracle; no recipe meets one in training.

    All 480 facts occur in training: what is new is how they follow each other. Of shorter questions there are too few.

    Args:
        world: whose questions.
        part: `test`, or `tuning`: 360 other questions, for whoever chooses a setting by its outcome.
    """
    rng = random.Random(f"test of {world.name}")
    items = []
    for length in TEST_LENGTHS:
        found: dict[str, Item] = {}
        while len(found) < TEST_PER_LENGTH + TUNING_PER_LENGTH:
            (whole,) = documents(world, 1, rng, reserved=True)
            cut = work_out(whole.start, whole.operations[:length])
            task = Task("free_form", cut.question, cut.results[-1], "integer")
            head = " ".join(cut.question.split()[:3])
            found.setdefault(cut.question, Item(f"{length:02d}-{len(found):03d}", head, task, cut.text))
        drawn = list(found.values())
        items += drawn[:TEST_PER_LENGTH] if part == "test" else drawn[TEST_PER_LENGTH:]
    return Suite(SUITE, "reasoning", tuple(items), grade=_grade)


def question_set(world: World) -> bytes:
    """One question about each training document, of every length equally often, as JSONL for the recipe `rlvr`.

    They stand for questions made by people: nobody adapts them to what the Reasoner can do.
    """
    rng = random.Random(f"documents of {world.name}")
    drawn = documents(world, DOCUMENTS, rng, reserved=False)
    cut = [work_out(one.start, one.operations[: 1 + place % STEPS]) for place, one in enumerate(drawn)]
    lines = [{"question": one.question, "answer": one.results[-1], "answer_type": "integer"} for one in cut]
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def oracle(task: Task) -> str | None:
    """The true answer to a task's question."""
    return str(solve(task.question))


def _grade(answered: Sequence[tuple[str, Item]]) -> list[Verdict]:
    found = [(extract_boxed(response), oracle(item.task)) for response, item in answered]
    return [Verdict(given == true, given) for given, true in found]


def _segment(computation: Computation, source: str, row: int, split: Split) -> Segment:
    text = computation.text
    digest = hashlib.sha256(text.encode()).hexdigest()
    return Segment(
        segment_id=f"{digest[:16]}-00000",
        document_id=digest,
        source=source,
        title="",
        unit="row",
        start=row,
        end=row,
        sha256=digest,
        text=text,
        tokens=len(text.split()),
        split=split,
    )
