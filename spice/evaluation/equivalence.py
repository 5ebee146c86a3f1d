"""The judge's part in an evaluation: it sees what the rules call wrong, and its agreement with them is measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from spice.config import JudgeConfig
from spice.evaluation.items import Item, ItemResult, Results, Suite
from spice.evaluation.judge import Opinion, Question
from spice.evaluation.schema import Agreement, JudgeFigures
from spice.evaluation.statistics import wilson


class Judging(Protocol):
    """What is needed of a judge."""

    def compare(self, questions: Sequence[Question]) -> list[Opinion]:
        """Opinions in order."""
        ...


@dataclass(frozen=True)
class Reviewed:
    """Results after the review, with how many answers were asked about and what came of it."""

    results: Results
    asked: int
    equivalent: int
    inconclusive: int


def adjudicate(
    suites: Sequence[Suite], base: Results, candidate: Results, judge: Judging, config: JudgeConfig, seed: int
) -> tuple[Results, Results, JudgeFigures]:
    """Review both models' answers and measure the judge's agreement with the rules.

    Args:
        suites: all suites.
        base: the base's results by the rules.
        candidate: the candidate's.
        judge: whom to ask.
        config: what is declared of the judge, and how many answers the agreement is measured on.
        seed: draws them.

    Returns:
        Both models' results after the review, and what the report says of the judge.
    """
    agreed = agreement(suites, (base, candidate), judge, config.agreement_items, np.random.default_rng(seed))
    before, after = review(suites, base, judge), review(suites, candidate, judge)
    told = JudgeFigures(
        model=config.model,
        lineage=config.lineage,
        asked=before.asked + after.asked,
        equivalent=before.equivalent + after.equivalent,
        inconclusive=before.inconclusive + after.inconclusive,
        agreement=agreed,
    )
    return before.results, after.results, told


def review(suites: Sequence[Suite], results: Results, judge: Judging) -> Reviewed:
    """Let the judge look at every free answer that the rules call wrong; equivalent ones become right.

    Suites with an oracle of their own and multiple choice are left as they are.
    """
    places = [
        (suite.name, place, question)
        for suite in suites
        if judged(suite)
        for place, (item, result) in enumerate(zip(suite.items, results[suite.name], strict=True))
        if not result.correct and (question := _question(item, result)) is not None
    ]
    opinions = judge.compare([question for _, _, question in places])
    changed = {name: list(each) for name, each in results.items()}
    for (name, place, _), opinion in zip(places, opinions, strict=True):
        if opinion == "equivalent":
            changed[name][place] = replace(changed[name][place], correct=True)
    return Reviewed(
        {name: tuple(each) for name, each in changed.items()},
        asked=len(places),
        equivalent=opinions.count("equivalent"),
        inconclusive=opinions.count("inconclusive"),
    )


def agreement(
    suites: Sequence[Suite], results: Sequence[Results], judge: Judging, count: int, rng: np.random.Generator
) -> Agreement:
    """How often judge and rules say the same of `count` answers, drawn from those of both models.

    An inconclusive answer agrees with nothing where the rules say right, and counts as "different" for kappa.

    Args:
        suites: all suites.
        results: each model's results by the rules alone.
        judge: whom to ask.
        count: most answers to ask about.
        rng: draws them.
    """
    pool = [
        (question, result.correct)
        for suite in suites
        if judged(suite)
        for model in results
        for item, result in zip(suite.items, model[suite.name], strict=True)
        if (question := _question(item, result)) is not None
    ]
    drawn = [pool[place] for place in sorted(rng.permutation(len(pool))[:count].tolist())]
    opinions = judge.compare([question for question, _ in drawn])
    ruled = [right for _, right in drawn]
    said = [opinion == "equivalent" for opinion in opinions]
    same = sum(
        opinion != "inconclusive" and right == yes for right, yes, opinion in zip(ruled, said, opinions, strict=True)
    )
    interval = wilson(same, len(drawn))
    return Agreement(
        n=len(drawn),
        rate=same / len(drawn) if drawn else 0.0,
        low=interval.low,
        high=interval.high,
        kappa=_kappa(ruled, said),
    )


def judged(suite: Suite) -> bool:
    """Whether the rules of the verifier grade this suite, so that a judge may see what they miss."""
    return suite.grade is None and not suite.forced


def _question(item: Item, result: ItemResult) -> Question | None:
    if item.task.options or item.task.program or result.answer is None:
        return None
    return Question(item.task.question, item.task.answer, result.answer)


def _kappa(first: Sequence[bool], second: Sequence[bool]) -> float:
    """Cohen's kappa; 0 where chance alone explains everything, as when one rater says the same of all."""
    if not first:
        return 0.0
    n = len(first)
    observed = sum(a == b for a, b in zip(first, second, strict=True)) / n
    yes = (sum(first) / n) * (sum(second) / n)
    no = (1 - sum(first) / n) * (1 - sum(second) / n)
    chance = yes + no
    return (observed - chance) / (1 - chance) if chance < 1 else 0.0
