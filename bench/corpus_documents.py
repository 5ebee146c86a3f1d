"""Documents for `bench/corpus.py`: prose from the words of the factbook, with planted near copies.

Texts lie in files at random, so that a copy is seldom near its original. The
true similarity of each pair is computed by the definition.
"""

from __future__ import annotations

import json
import random
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

REPO = Path(__file__).parents[1]
FILE_BYTES = 4_000_000
COPIED = 10
"""One document in so many has a near copy."""
LEVELS = (0.975, 0.925, 0.875, 0.825, 0.775, 0.725)
"""Jaccard similarities of 5-grams that copies are made for, about the middle of the table's rows."""


@dataclass
class Generated:
    """What was written.

    Attributes:
        size: characters of text.
        names: of all documents, copies included.
        planted: names of an original and its copy, and their Jaccard similarity.
    """

    size: int = 0
    names: list[str] = field(default_factory=list)
    planted: list[tuple[str, str, float]] = field(default_factory=list)


def generate(folder: Path, mb: float, seed: int = 1) -> Generated:
    """Write JSONL files with `mb` megabytes of text into a new folder."""
    folder.mkdir(parents=True)
    rng = random.Random(seed)
    words = [word for path in sorted((REPO / "examples/factbook").glob("*.md")) for word in path.read_text().split()]
    words = [word for word in words if word.isalpha()]
    made = Generated()
    with ExitStack() as stack:
        paths = [folder / f"{number:04d}.jsonl" for number in range(max(1, round(mb * 1e6 / FILE_BYTES)))]
        files = [stack.enter_context(path.open("w")) for path in paths]
        count = 0
        while made.size < mb * 1e6:
            original = prose(words, rng, rng.randint(200, 1200))
            texts = {f"d{count}": original}
            if count % COPIED == 0:
                copy = changed(original, LEVELS[count // COPIED % len(LEVELS)], words, rng)
                texts[f"c{count}"] = copy
                made.planted.append((f"d{count}", f"c{count}", similarity(original, copy)))
            for name, text in texts.items():
                rng.choice(files).write(json.dumps({"id": name, "text": text, "title": name}) + "\n")
                made.size += len(text)
                made.names.append(name)
            count += 1
    return made


def prose(words: list[str], rng: random.Random, count: int) -> str:
    """About so many words in sentences, five sentences a paragraph."""
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
