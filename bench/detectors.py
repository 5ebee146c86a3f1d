"""How often each alarm of training is raised by a run that fails in its way, and by healthy ones.

    python bench/detectors.py [--seeds 5] [--iterations 24] [--out FILE]

Runs go through the product's own loop, validity checks, verifier, health signals and alarms, with the thresholds that
are the default (`HealthConfig`). Two kinds of policy play: a scripted one (`bench/scripted.py`) on the example corpus,
for which it is known which run fails and how, and the arena's model, whose engine is disturbed (`bench/mismatch.py`).
Each failure is tried from the first iteration on and, after a healthy beginning, from the eleventh on.
"""

from __future__ import annotations

import argparse
import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

import mismatch
import numpy as np
from scripted import HEALTHY, POISON, Ask, Corpus, Policy, passages, play, poisoned, varied
from workload import machine

from spice.selfplay.types import Document

Run = list[set[str]]
LATE = 11
FIRST_SEED = 100
"""Thresholds were tried on seed 0."""
HEAD = (
    "",
    "| failure | alarm | from the start | after ten healthy iterations | other alarms, runs |",
    "|---|---|---|---|---|",
)


def few(_document: Document, _answer: str, rng: random.Random) -> str:
    return rng.choice(
        ("Which of these is named first of all?", "What is it that is told of here?", "Who or what is meant?")
    )


def same_with_other_names(document: Document, _answer: str, _rng: random.Random) -> str:
    return f"What is the one thing that anybody should know about {document.title}?"


def half(document: Document, answer: str, rng: random.Random) -> str:
    return (few if rng.random() < 0.7 else varied)(document, answer, rng)


def copied(document: Document, answer: str, rng: random.Random) -> str:
    words = document.text.split()
    start = rng.randrange(max(1, len(words) - 16))
    return " ".join(words[start : start + 16]).replace(answer, "what").strip(".?") + "?"


def copied_in_a_frame(document: Document, answer: str, rng: random.Random) -> str:
    return f"In the account, what completes the words: {copied(document, answer, rng)}"


def leaking(document: Document, answer: str, rng: random.Random) -> str:
    return f"{varied(document, answer, rng)[:-1]} (think of {answer})?"


def leaking_in_disguise(document: Document, answer: str, rng: random.Random) -> str:
    disguised = " ".join(reversed(re.findall(r"\w+", answer))) if " " in answer else f"{answer}s"
    return f"{varied(document, answer, rng)[:-1]} (as the {disguised} know)?"


def leaking_in_part(document: Document, answer: str, rng: random.Random) -> str:
    return (leaking if rng.random() < 0.4 else varied)(document, answer, rng)


@dataclass(frozen=True)
class Failure:
    """A way to fail.

    Attributes:
        name: what it is called in the table.
        alarm: that it must raise.
        policy: that fails so.
        oracle: whether true answers are known.
        early: whether it can be seen from the first iteration on; what falls from the start needs a start.
    """

    name: str
    alarm: str
    policy: Policy
    oracle: bool = False
    early: bool = True


def _failing(ask: Ask) -> Policy:
    return replace(HEALTHY, ask=ask)


FAILURES = (
    Failure("repeats three questions", "repetition", _failing(few)),
    Failure("repeats three questions, 7 times of 10", "repetition", _failing(half)),
    Failure("asks one thing of every document", "one_kind", _failing(same_with_other_names)),
    Failure("copies the document", "copying", _failing(copied)),
    Failure("copies it within a frame of its own", "copying", _failing(copied_in_a_frame)),
    Failure("poses impossible tasks", "degenerate_groups", replace(HEALTHY, skill=lambda _: 0.0)),
    Failure(
        "poses impossible tasks, answers are guesses",
        "label_noise",
        replace(HEALTHY, skill=lambda _: 0.25, with_document=0.25),
    ),
    Failure("poses trivial tasks", "degenerate_groups", replace(HEALTHY, skill=lambda _: 1.0)),
    Failure("always answers C", "letters", replace(HEALTHY, place=2)),
    Failure("leaks the answer", "leak", _failing(leaking)),
    Failure("leaks it in other words", "leak", _failing(leaking_in_disguise)),
    Failure("leaks it 4 times of 10", "leak", _failing(leaking_in_part)),
    Failure("label noise of 30%, audit alone", "label_noise", replace(HEALTHY, noise=0.3)),
    Failure("label noise of 30%, with an oracle", "label_noise", replace(HEALTHY, noise=0.3), oracle=True),
    # What many documents share is no answer to a task, so a planted name costs valid attempts and teaches nothing.
    Failure("poisoned corpus, one planted name", "valid_rate", replace(HEALTHY, answer=POISON)),
    # With the document in sight a policy confirms what is false in it; only an oracle knows better.
    Failure("poisoned corpus, 40% false facts, oracle", "label_noise", replace(HEALTHY, falsified=0.4), oracle=True),
    Failure("options give the answer away", "choices_only", replace(HEALTHY, blind=0.9)),
    Failure("entropy collapses", "entropy_collapse", replace(HEALTHY, entropy=lambda i: 1.5 * 0.7**i), early=False),
    Failure(
        "death spiral",
        "death_spiral",
        replace(HEALTHY, entropy=lambda i: 1.5 + 0.1 * i, invalid=lambda i: min(0.9, 0.1 + 0.1 * i)),
        early=False,
    ),
    Failure("writes no tasks", "valid_rate", replace(HEALTHY, invalid=lambda _: 0.9)),
)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seeds", type=int, default=5)
    options.add_argument("--first-seed", type=int, default=FIRST_SEED)
    options.add_argument("--iterations", type=int, default=24)
    options.add_argument("--only", choices=PARTS, nargs="+", default=list(PARTS))
    options.add_argument("--match", default="", help="scripted failures with this in their names alone")
    options.add_argument("--out", type=Path)
    chosen = options.parse_args()
    seeds = range(chosen.first_seed, chosen.first_seed + chosen.seeds)
    lines = []
    for line in chain(heading(chosen), *(PARTS[part](seeds, chosen) for part in chosen.only)):
        print(line, flush=True)
        lines.append(line)
    lines += ["", f"On {machine('transformers')}.", ""]
    if chosen.out:
        chosen.out.write_text("\n".join(lines))


def heading(chosen: argparse.Namespace) -> list[str]:
    flags = f"--seeds {chosen.seeds} --first-seed {chosen.first_seed} --iterations {chosen.iterations}"
    flags += f" --match '{chosen.match}'" if chosen.match else ""
    return [
        "# Detectors of failing runs",
        "",
        f"`python bench/detectors.py {flags} --only {' '.join(chosen.only)}`, {datetime.now(UTC):%Y-%m-%d}",
        "",
        f"Found: runs of {chosen.seeds} in which the alarm was raised, and the median number of iterations until then;",
        "there the run ended. Healthy runs are played to their end.",
    ]


def scripted_rows(seeds: Sequence[int], chosen: argparse.Namespace) -> Iterator[str]:
    yield from HEAD
    documents = list(passages())
    clean, poison = Corpus(documents), Corpus(poisoned(documents))
    for one in (failure for failure in FAILURES if chosen.match in failure.name):
        corpus = poison if one.policy.answer else clean
        early, late = (
            [
                play(replace(one.policy, since=n), corpus, seed, chosen.iterations, one.oracle, one.alarm)
                for seed in seeds
            ]
            if one.early or n == LATE
            else []
            for n in (1, LATE)
        )
        yield row(one.name, one.alarm, early, late)


def mismatch_rows(seeds: Sequence[int], _chosen: argparse.Namespace) -> Iterator[str]:
    yield from HEAD
    for name, disturbance in mismatch.DISTURBANCES.items():
        runs = [mismatch.play(disturbance, seed, until="mismatch") for seed in seeds]
        yield row(f"mismatched engine: {name}", "mismatch", runs, [])


def quiet_rows(seeds: Sequence[int], chosen: argparse.Namespace) -> Iterator[str]:
    """The false alarms of healthy runs."""
    yield from ("", "| healthy runs | iterations | of them with an alarm | alarms |", "|---|---|---|---|")
    corpus = Corpus(list(passages()))
    scripted = [play(HEALTHY, corpus, 1000 + seed, chosen.iterations, oracle=True) for seed in seeds]
    yield _healthy_row("scripted, with an oracle", scripted)
    learning = [mismatch.play(mismatch.none, 1000 + seed, 12) for seed in seeds]
    yield _healthy_row("the arena's model, learning", learning)


def row(name: str, wanted: str, early: Sequence[Run], late: Sequence[Run]) -> str:
    others = Counter(alarm for run in [*early, *late] for alarm in set[str]().union(*run) - {wanted})
    told = ", ".join(f"{alarm} {count}" for alarm, count in others.most_common()) or "none"
    return f"| {name} | `{wanted}` | {_found(wanted, early, 1)} | {_found(wanted, late, LATE)} | {told} |"


def _found(wanted: str, runs: Sequence[Run], since: int) -> str:
    if not runs:
        return "not tried"
    firsts = [next((i for i, alarms in enumerate(run, 1) if wanted in alarms and i >= since), None) for run in runs]
    found = [first - since + 1 for first in firsts if first is not None]
    too_early = sum(wanted in alarms for run in runs for alarms in run[: since - 1])
    note = f", {too_early} false before" if too_early else ""
    return f"{len(found)}/{len(runs)}, after {np.median(found):.0f}{note}" if found else f"0/{len(runs)}{note}"


def _healthy_row(name: str, runs: Sequence[Run]) -> str:
    raised = Counter(alarm for run in runs for alarms in run for alarm in alarms)
    bad, total = sum(bool(alarms) for run in runs for alarms in run), sum(map(len, runs))
    told = ", ".join(f"{alarm} {count}" for alarm, count in raised.most_common()) or "none"
    return f"| {name} | {total} | {bad} | {told} |"


PARTS = {"failures": scripted_rows, "mismatch": mismatch_rows, "healthy": quiet_rows}

if __name__ == "__main__":
    main()
