"""Compares base and candidate, and keeps the comparison in the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import ValidationError

from spice.config import EvaluationConfig, PromotionConfig, RecipeConfig
from spice.errors import IntegrityError
from spice.evaluation import statistics, verdicts
from spice.evaluation.bias import amplification
from spice.evaluation.calibration import calibration
from spice.evaluation.contamination import N_GRAM, Contamination
from spice.evaluation.items import Item, ItemResult, Results, Suite
from spice.evaluation.schema import (
    Answer,
    ContaminationFigures,
    DifferenceFigures,
    EvaluationReport,
    HitRecord,
    ItemRecord,
    JudgeFigures,
    PassRate,
    Settings,
    SideEffect,
    SuiteFigures,
)
from spice.evaluation.statistics import Difference
from spice.store import artifacts
from spice.store.base import ObjectStore

PREFIX = "evaluations"
_EXAMPLES = 20
_SIDE_EFFECT_SAMPLES = 2000  # these statistics are recomputed for each, in Python
Pair = tuple[Item, ItemResult, ItemResult]
"""An item with the base's and the candidate's result."""


def compare(
    suites: Sequence[Suite],
    base_results: Results,
    candidate_results: Results,
    contamination: Contamination,
    *,
    candidate: str,
    base: str,
    corpus: str,
    run: str,
    evaluation: EvaluationConfig,
    promotion: PromotionConfig,
    recipe: RecipeConfig,
    judge: JudgeFigures | None = None,
) -> dict[str, Any]:
    """Build the report, see `spice.evaluation.schema`.

    The same results give the same report: it holds no time, and the bootstrap's
    draws depend on the evaluation seed and the suite's name only.

    Args:
        suites: what was asked.
        base_results: the base's answers.
        candidate_results: the candidate's answers.
        contamination: what the check of items against training text found.
        candidate: reference of the candidate checkpoint.
        base: reference of the base checkpoint.
        corpus: reference of the dataset version.
        run: name of the training run.
        evaluation: seed and bootstrap samples.
        promotion: primary suite, improvement and margin that verdicts are about.
        recipe: the prompt template that both models saw.
        judge: what the independent judge did, if there was one.

    Raises:
        ValueError: the two models' results are not of the same items.
    """
    paired = {suite.name: _pair(suite, base_results, candidate_results) for suite in suites}
    differences = {suite.name: _difference(suite, paired[suite.name], evaluation) for suite in suites}
    adjusted = _adjusted(differences, promotion.primary_suite)
    figures = {
        suite.name: _figures(suite, paired[suite.name], differences[suite.name], adjusted[suite.name], promotion)
        for suite in suites
    }
    report = EvaluationReport(
        candidate=candidate,
        base=base,
        corpus=corpus,
        run=run,
        suites=figures,
        contamination=_contamination(contamination),
        side_effects=_side_effects(suites, base_results, candidate_results, evaluation),
        judge=judge,
        items={name: tuple(_record(*pair) for pair in pairs) for name, pairs in paired.items()},
        settings=Settings(
            seed=evaluation.seed,
            bootstrap_samples=evaluation.bootstrap_samples,
            max_tokens=evaluation.max_tokens,
            template=recipe.template,
            few_shot=recipe.few_shot,
            min_improvement=promotion.min_improvement,
            regression_margin=promotion.regression_margin,
            margins=promotion.margins,
        ),
    )
    return report.model_dump(mode="json")


def save(store: ObjectStore, report: dict[str, Any]) -> str:
    """Store a report and return its reference, `evaluations/<digest>`."""
    return artifacts.write_json(store, PREFIX, report)


def load(store: ObjectStore, ref: str) -> EvaluationReport:
    """Read a report back.

    Raises:
        NotFoundError: there is none of that reference.
        IntegrityError: it was changed, or is not an evaluation report.
    """
    document = artifacts.read_json(store, ref)
    try:
        return EvaluationReport.model_validate(document)
    except ValidationError as error:
        raise IntegrityError(f"{ref} in {store.url} is not an evaluation report of this version: {error}") from error


def _pair(suite: Suite, base: Results, candidate: Results) -> list[Pair]:
    pairs = list(zip(suite.items, base[suite.name], candidate[suite.name], strict=True))
    for item, before, after in pairs:
        if not item.id == before.id == after.id:
            raise ValueError(f"results of {suite.name} are not paired: {item.id}, {before.id}, {after.id}")
    return pairs


def _difference(suite: Suite, pairs: Sequence[Pair], evaluation: EvaluationConfig) -> Difference:
    return statistics.difference(
        [before.correct for _, before, _ in pairs],
        [after.correct for _, _, after in pairs],
        [item.cluster for item, _, _ in pairs],
        evaluation.bootstrap_samples,
        _rng(evaluation, suite.name),
        repeated=suite.repeats,
    )


def _adjusted(differences: Mapping[str, Difference], primary: str) -> dict[str, float]:
    """P-values by suite: of the primary suite as it is, of the others by Holm."""
    others = [name for name in differences if name != primary]
    adjusted = dict(zip(others, statistics.holm([differences[name].p_value for name in others]), strict=True))
    return adjusted | {name: differences[name].p_value for name in differences if name == primary}


def _figures(
    suite: Suite, pairs: Sequence[Pair], difference: Difference, holm_p: float, promotion: PromotionConfig
) -> SuiteFigures:
    margin = promotion.margins.get(suite.name, promotion.regression_margin)
    needed = promotion.min_improvement if suite.name == promotion.primary_suite else 0.0
    verdict, reason = verdicts.judge(difference, margin, needed, holm_p)
    return SuiteFigures(
        n=difference.n,
        metric=suite.metric,
        kind=suite.kind,
        clusters=difference.clusters,
        candidate=_pass_rate([after for _, _, after in pairs]),
        base=_pass_rate([before for _, before, _ in pairs]),
        difference=DifferenceFigures(
            value=difference.value,
            low=difference.interval.low,
            high=difference.interval.high,
            method=statistics.METHOD,
            lower_bound=difference.lower_bound,
        ),
        discordant=difference.discordant,
        mcnemar_p=difference.mcnemar_p,
        p_value=difference.p_value,
        holm_p=holm_p,
        margin=margin,
        verdict=verdict,
        reason=reason,
    )


def _pass_rate(results: Sequence[ItemResult]) -> PassRate:
    correct = sum(result.correct for result in results)
    interval = statistics.wilson(correct, len(results))
    return PassRate(
        rate=correct / len(results),
        low=interval.low,
        high=interval.high,
        correct=correct,
        unanswered=sum(result.answer is None for result in results),
        truncated=sum(result.truncated for result in results),
    )


def _side_effects(
    suites: Sequence[Suite], base: Results, candidate: Results, evaluation: EvaluationConfig
) -> dict[str, SideEffect]:
    """Of the bias suite, and of the first forced suite that has right answers."""
    samples = min(evaluation.bootstrap_samples, _SIDE_EFFECT_SAMPLES)
    found: dict[str, SideEffect] = {}
    for suite in suites:
        before, after, rng = base[suite.name], candidate[suite.name], _rng(evaluation, f"{suite.name}/side effects")
        if suite.kind == "bias":
            found["bias_amplification"] = amplification(suite, before, after, samples, rng)
        elif suite.forced and "calibration_brier" not in found:
            found |= calibration(suite, before, after, samples, rng)
    return found


def _rng(evaluation: EvaluationConfig, name: str) -> np.random.Generator:
    return np.random.default_rng([evaluation.seed, *name.encode()])


def _record(item: Item, before: ItemResult, after: ItemResult) -> ItemRecord:
    return ItemRecord(
        id=item.id,
        cluster=item.cluster,
        question=item.task.question,
        options=item.task.options,
        gold=item.task.answer,
        base=_answer(before),
        candidate=_answer(after),
    )


def _answer(result: ItemResult) -> Answer:
    return Answer(correct=result.correct, answer=result.answer, response=result.response, confidence=result.confidence)


def _contamination(found: Contamination) -> ContaminationFigures:
    return ContaminationFigures(
        n_gram=N_GRAM,
        items=found.items,
        testable=found.testable,
        hits=len(found.hits),
        share=found.share,
        longest=max((hit.longest for hit in found.hits), default=0),
        examples=tuple(
            HitRecord(suite=hit.suite, item=hit.item, where=hit.where, words=hit.words, longest=hit.longest)
            for hit in found.hits[:_EXAMPLES]
        ),
    )
