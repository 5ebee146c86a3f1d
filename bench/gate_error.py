"""How often the gate errs: simulated candidates through the statistics and the policy that a release goes through.

    python bench/gate_error.py --trials 300 --out bench/results/gate_error.md

Each trial draws two models' answers to three suites with a known true effect, puts them through the same paired
statistics as an evaluation, and asks the built-in policy. A true effect of a suite is a difference of pass rates;
items of a document share a part of their difficulty, so they are not independent.
"""

from __future__ import annotations

import argparse
import platform
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spice.config import PromotionConfig
from spice.evaluation import statistics
from spice.evaluation.verdicts import judge
from spice.promotion import policy, regoworker

MARGIN = 0.05
DISCORDANT = 0.10
SPREAD = 0.05
SHAPES = {"cloze": (280, 40), "cloze_forced": (280, 40), "reasoning": (600, 600)}  # items, clusters


NOTES = """
"No effect anywhere" is an error of at most 2.5% by design, since "better" is a two-sided 95% interval above 0; the two
rows with another suite worse are errors of at most 5%. What limits the power at "better by 0.15" is the second suite,
on which nothing changed: to show that with a margin of 0.05 and a chance of 80% takes 248 independent items
(`spice suites plan --margin 0.05 --discordant 0.1`), and it has 280 in 40 documents.
"""


@dataclass(frozen=True)
class Scenario:
    """True effects by suite, 0 where not named; `safe` says whether a pass would be right."""

    name: str
    effects: dict[str, float] = field(default_factory=dict)
    safe: bool = False


SCENARIOS = (
    Scenario("no effect anywhere"),
    Scenario("primary suite worse by 0.02", {"cloze": -0.02}),
    Scenario("better, another suite worse by exactly the margin", {"cloze": 0.15, "reasoning": -MARGIN}),
    Scenario("better, another suite worse by twice the margin", {"cloze": 0.15, "reasoning": -2 * MARGIN}),
    Scenario("better by 0.05", {"cloze": 0.05}, safe=True),
    Scenario("better by 0.10", {"cloze": 0.10}, safe=True),
    Scenario("better by 0.15", {"cloze": 0.15}, safe=True),
)


def passes(scenario: Scenario, trials: int, seed: int, samples: int = 500) -> int:
    """How many of `trials` candidates with the scenario's true effects the gate passes."""
    rng = np.random.default_rng([seed, *scenario.name.encode()])
    text = policy.load(None).text
    passed = 0
    for _ in range(trials):
        suites = {name: figures(shape, scenario.effects.get(name, 0.0), samples, rng) for name, shape in SHAPES.items()}
        answer = regoworker.evaluate(text, facts(suites))
        passed += isinstance(answer, dict) and answer["outcome"] == "pass"
    return passed


def answers(
    shape: tuple[int, int], effect: float, rng: np.random.Generator
) -> tuple[NDArray[Any], NDArray[Any], list[str]]:
    """Base's and candidate's right answers, and each item's cluster.

    A share of the items is answered right by one model alone; how much more often by the candidate is the effect.
    Every cluster has its own base rate and its own effect, so that its items are not independent.
    """
    items, clusters = shape
    names = [str(i * clusters // items) for i in range(items)]
    rates = rng.beta(4, 6, size=clusters)[[int(name) for name in names]]
    share = DISCORDANT + abs(effect)
    own = np.clip(effect + rng.normal(0.0, SPREAD, size=clusters), -share, share)[[int(name) for name in names]]
    drawn = rng.random(items)
    gained, lost = drawn < (share + own) / 2, drawn > 1 - (share - own) / 2
    base = np.where(gained, False, np.where(lost, True, rng.random(items) < rates))
    candidate = np.where(gained, True, np.where(lost, False, base))
    return base, candidate, names


def figures(shape: tuple[int, int], effect: float, samples: int, rng: np.random.Generator) -> dict[str, Any]:
    """What the gate is told of one suite."""
    base, candidate, names = answers(shape, effect, rng)
    found = statistics.difference(base.tolist(), candidate.tolist(), names, samples, rng)
    verdict, _ = judge(found, MARGIN)
    return {
        "n": found.n,
        "clusters": found.clusters,
        "verdict": verdict,
        "difference": {
            "value": found.value,
            "low": found.interval.low,
            "high": found.interval.high,
            "lower_bound": found.lower_bound,
        },
    }


def facts(suites: dict[str, Any]) -> dict[str, Any]:
    """A candidate about which all but the suites is in order."""
    return {
        "candidate": "checkpoints/c",
        "base": "checkpoints/b",
        "suites": suites,
        "contamination": {"hits": 0, "items": 560, "testable": 560, "share": 0.0},
        "health": {"failures": []},
        "provenance": {"complete": True, "missing": []},
        "settings": PromotionConfig(regression_margin=MARGIN).model_dump(mode="json"),
    }


def table(trials: int, seed: int) -> str:
    """The result as Markdown."""
    lines = [
        "# Error rates of the gate",
        "",
        f"`python bench/gate_error.py --trials {trials} --seed {seed}`, Python {platform.python_version()}. A row is "
        f"{trials} simulated candidates, judged by the built-in policy at its defaults. The primary suite has 280 "
        f"items in 40 documents, a second suite likewise, and a third has 600 independent items. The margin is "
        f"{MARGIN}. On {DISCORDANT:.0%} of the items, and as many more as the effect takes, one model alone is right. "
        f"Documents differ in their own true effect with a standard deviation of {SPREAD}.",
        "",
        "| true effect | a pass would be | passed | share | 95% interval (Wilson) |",
        "|---|---|---|---|---|",
    ]
    for scenario in SCENARIOS:
        passed = passes(scenario, trials, seed)
        interval = statistics.wilson(passed, trials)
        lines.append(
            f"| {scenario.name} | {'right' if scenario.safe else 'an error'} | {passed} | {passed / trials:.3f} "
            f"| {interval.low:.3f} to {interval.high:.3f} |"
        )
        print(lines[-1], flush=True)
    return "\n".join(lines) + "\n" + NOTES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=300)
    parser.add_argument("--seed", type=int, default=20251024)
    parser.add_argument("--out", type=Path, help="write the table there")
    options = parser.parse_args()
    text = table(options.trials, options.seed)
    if options.out:
        options.out.write_text(text)


if __name__ == "__main__":
    main()
