from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from spice.config import EvaluationConfig, PromotionConfig, RecipeConfig, StoreConfig
from spice.errors import IntegrityError, NotFoundError
from spice.evaluation import report, table
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
    assert first["base"] == {"correct": True, "answer": "a", "response": "text"}
    assert made["contamination"]["share"] == 0.0


def test_the_same_results_give_the_same_report_whatever_other_suites_there_are() -> None:
    one, two = suite("cloze"), suite("other")
    base = {"cloze": answers(one, 8), "other": answers(two, 8)}
    candidate = {"cloze": answers(one, 15), "other": answers(two, 15)}
    both, alone = compare([one, two], base, candidate), compare([one], base, candidate)
    assert both == compare([one, two], base, candidate)
    assert both["suites"]["cloze"] == alone["suites"]["cloze"]


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
        "cloze [bold]", "40", "0.200 [0.105, 0.348]", "0.500 [0.352, 0.648]", "< 0.001", "better",
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
