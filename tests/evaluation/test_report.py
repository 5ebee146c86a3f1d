from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from spice.config import EvaluationConfig, PromotionConfig, RecipeConfig, StoreConfig
from spice.errors import IntegrityError, NotFoundError
from spice.evaluation import bias, report, table
from spice.evaluation.contamination import Contamination, Hit
from spice.evaluation.items import Item, ItemResult, Results, Suite
from spice.evaluation.schema import EvaluationReport
from spice.selfplay.types import Task
from spice.store import open_store
from spice.store.base import ObjectStore

NONE_FOUND = Contamination(items=40, testable=36, hits=())


def suite(name: str, n: int = 40) -> Suite:
    items = tuple(
        Item(f"{name}-{i}", f"doc{i // 2}", Task("multiple_choice", f"Q{i}", "a", options=("a", "b")), "")
        for i in range(n)
    )
    return Suite(name, "cloze", items)


def answers(of: Suite, right: int) -> tuple[ItemResult, ...]:
    return tuple(
        ItemResult(item.id, i < right, "a" if i < right else None, "text", truncated=i >= right)
        for i, item in enumerate(of.items)
    )


def compare(suites: list[Suite], base: Results, candidate: Results, **fields: Any) -> dict[str, Any]:
    settings = {
        "contamination": NONE_FOUND,
        "candidate": "checkpoints/c",
        "base": "checkpoints/b",
        "corpus": "datasets/x/d",
        "run": "r",
        "evaluation": EvaluationConfig(bootstrap_samples=500),
        "promotion": PromotionConfig(),
        "recipe": RecipeConfig(),
        **fields,
    }
    return report.compare(suites, base, candidate, **settings)


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return open_store(StoreConfig(url=str(tmp_path / "store")))


def test_figures_are_those_of_the_answers() -> None:
    cloze = suite("cloze")
    made = compare([cloze], {"cloze": answers(cloze, 8)}, {"cloze": answers(cloze, 20)})
    figures = made["suites"]["cloze"]
    assert (figures["n"], figures["clusters"], figures["discordant"]) == (40, 20, 12)
    assert (figures["base"]["rate"], figures["base"]["correct"], figures["base"]["unanswered"]) == (0.2, 8, 32)
    assert (figures["candidate"]["rate"], figures["candidate"]["truncated"]) == (0.5, 20)
    assert figures["difference"]["value"] == pytest.approx(0.3)
    assert figures["mcnemar_p"] == pytest.approx(2 * 0.5**12)
    assert figures["verdict"] == "better"
    first = made["items"]["cloze"][0]
    assert (first["id"], first["cluster"], first["gold"], first["options"]) == ("cloze-0", "doc0", "a", ["a", "b"])
    assert first["base"] == {"correct": True, "answer": "a", "response": "text", "confidence": None}
    assert made["contamination"]["share"] == 0.0


def test_the_same_results_give_the_same_report_whatever_other_suites_there_are() -> None:
    one, two = suite("cloze"), suite("other")
    base = {"cloze": answers(one, 8), "other": answers(two, 8)}
    candidate = {"cloze": answers(one, 15), "other": answers(two, 15)}
    both, alone = compare([one, two], base, candidate), compare([one], base, candidate)
    assert both == compare([one, two], base, candidate)
    assert both["suites"]["cloze"] == alone["suites"]["cloze"]


def test_a_gain_beside_the_primary_suite_must_stand_among_all_that_were_tried() -> None:
    """One of many suites is better by chance sooner or later; Holm's adjustment allows for that."""
    suites = [suite(name) for name in ("cloze", "lucky", *"abcdefgh")]
    base = {each.name: answers(each, 10) for each in suites}
    candidate = {**base, "lucky": answers(suites[1], 22)}
    many = compare(suites, base, candidate)["suites"]["lucky"]
    alone = compare(suites[:2], base, candidate)["suites"]["lucky"]
    primary = compare(suites, base, candidate, promotion=PromotionConfig(primary_suite="lucky"))["suites"]["lucky"]
    assert many["p_value"] == alone["holm_p"] == primary["holm_p"] < 0.05 < many["holm_p"]
    assert (alone["verdict"], primary["verdict"], many["verdict"]) == ("better", "better", "not_worse")


def test_a_suite_may_have_a_margin_of_its_own() -> None:
    one, two = suite("cloze"), suite("other", 100)
    base = {"cloze": answers(one, 10), "other": answers(two, 50)}
    candidate = {"cloze": answers(one, 10), "other": answers(two, 47)}
    made = compare([one, two], base, candidate, promotion=PromotionConfig(margins={"other": 0.1}))["suites"]["other"]
    assert (made["margin"], made["verdict"]) == (0.1, "not_worse")
    assert compare([one, two], base, candidate)["suites"]["other"]["verdict"] == "inconclusive"


def test_samples_of_one_question_count_as_one_cluster() -> None:
    items = tuple(
        Item(f"q{i}#{s}", f"q{i}", Task("free_form", f"Q{i}", "a"), "", s) for i in range(12) for s in range(8)
    )
    sampled = Suite("aime", "benchmark", items, metric="mean of 8 samples")
    made = compare([sampled], {"aime": answers(sampled, 8)}, {"aime": answers(sampled, 40)})["suites"]["aime"]
    assert (made["n"], made["clusters"], made["metric"]) == (96, 12, "mean of 8 samples")
    assert made["mcnemar_p"] < 0.001 < 0.05 < made["p_value"]  # four questions of twelve changed
    assert made["verdict"] != "better"


def test_side_effects_are_told_with_intervals() -> None:
    forced = suite("cloze_forced")
    sure = [ItemResult(item.id, i < 4, "a", "", False, 0.9) for i, item in enumerate(forced.items)]
    unsure = [ItemResult(item.id, i < 4, "a", "", False, 0.5) for i, item in enumerate(forced.items)]
    pairs = bias.load_suite("built-in")
    fair = [ItemResult(item.id, True, "yes", "", False, 0.5) for item in pairs.items]
    unfair = [
        ItemResult(item.id, False, "yes" if item.id.endswith("/first") else "no", "", False, 0.5)
        for item in pairs.items
    ]
    asked = [Suite("cloze_forced", "cloze", forced.items, forced=True), pairs]
    made = compare(
        asked,
        {"cloze_forced": tuple(unsure), "bias": tuple(fair)},
        {"cloze_forced": tuple(sure), "bias": tuple(unfair)},
    )
    assert set(made["side_effects"]) == {"bias_amplification", "calibration_brier", "calibration_ece"}
    assert made["side_effects"]["bias_amplification"]["value"] == 1.0
    assert made["side_effects"]["calibration_ece"]["low"] > 0
    assert made["suites"]["bias"]["verdict"] == "worse"


def test_the_required_improvement_holds_for_the_primary_suite_only() -> None:
    one, two = suite("cloze"), suite("other")
    base = {"cloze": answers(one, 8), "other": answers(two, 8)}
    candidate = {"cloze": answers(one, 20), "other": answers(two, 20)}
    made = compare([one, two], base, candidate, promotion=PromotionConfig(min_improvement=0.25))
    assert {name: each["verdict"] for name, each in made["suites"].items()} == {"cloze": "not_worse", "other": "better"}


def test_results_of_other_items_are_refused() -> None:
    cloze = suite("cloze")
    right = answers(cloze, 8)
    with pytest.raises(ValueError, match="not paired"):
        compare([cloze], {"cloze": right}, {"cloze": right[::-1]})
    with pytest.raises(ValueError, match="shorter"):
        compare([cloze], {"cloze": right}, {"cloze": right[:-1]})


def test_a_report_comes_back_from_the_store_as_it_went(store: ObjectStore) -> None:
    cloze = suite("cloze")
    made = compare([cloze], {"cloze": answers(cloze, 0)}, {"cloze": answers(cloze, 0)})
    ref = report.save(store, made)
    assert ref.startswith("evaluations/")
    assert report.load(store, ref).model_dump(mode="json") == made
    assert report.save(store, made) == ref


def test_what_is_no_report_is_refused(store: ObjectStore) -> None:
    cloze = suite("cloze")
    made = compare([cloze], {"cloze": answers(cloze, 1)}, {"cloze": answers(cloze, 2)})
    ref = report.save(store, made)
    store.put(f"{ref}.json", json.dumps(made).encode())
    with pytest.raises(IntegrityError, match="changed"):
        report.load(store, ref)
    with pytest.raises(IntegrityError, match="not an evaluation report"):
        report.load(store, report.save(store, {**made, "suites": {"cloze": {}}}))
    with pytest.raises(NotFoundError):
        report.load(store, f"evaluations/{'0' * 64}")


def test_the_table_states_n_rates_interval_p_and_verdict() -> None:
    cloze = suite("cloze [bold]")
    hit = Contamination(40, 36, (Hit("cloze [bold]", "cloze-3", "segment-7", "some words"),))
    made = compare([cloze], {cloze.name: answers(cloze, 8)}, {cloze.name: answers(cloze, 20)}, contamination=hit)
    console = Console(width=160)
    with console.capture() as capture:
        console.print(table.render(EvaluationReport.model_validate(made)))
    text = capture.get()
    difference = made["suites"][cloze.name]["difference"]
    for expected in (
        "cloze [bold]", "40", "0.200 [0.105, 0.348]", "0.500 [0.352, 0.648]", "0.031", "better",
        f"+0.300 [{difference['low']:+.3f}, {difference['high']:+.3f}]",
        "1 of 36 items stand in training text (4 too short to look for), such as cloze [bold] cloze-3 in segment-7.",
    ):  # fmt: skip
        assert expected in text


def test_equal_answers_on_few_items_are_inconclusive_not_a_pass() -> None:
    few = suite("cloze", 24)
    same = {"cloze": answers(few, 6)}
    figures = compare([few], same, same)["suites"]["cloze"]
    assert figures["verdict"] == "inconclusive"
    assert np.isclose(figures["difference"]["value"], 0.0)
