from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spice.config import RecipeConfig
from spice.evaluation.items import Item, Results, Suite
from spice.evaluation.runner import option_grammar, run
from spice.selfplay.types import Task, Verdict
from spice.selfplay.verify import Verifier

OPTIONS = ("Paris", "Cairo", "New York", "Rome")
CHOICE = Item("capital", "d", Task("multiple_choice", "The capital of France is ____.", "Paris", options=OPTIONS), "")
SUM = Item("sum", "d", Task("free_form", "Calculate 2 + 3.", "5", answer_type="integer"), "")


@pytest.fixture
def verifier() -> Iterator[Verifier]:
    with Verifier() as each:
        yield each


def answer(engine: Any, tokenizer: Any, verifier: Verifier, *suites: Suite, **options: Any) -> Results:
    settings = {"recipe": RecipeConfig(template="short"), "max_tokens": 40, "verifier": verifier, **options}
    return run(engine, tokenizer, suites, **settings)


@pytest.mark.parametrize(
    ("item", "response", "correct", "found"),
    [
        (CHOICE, "\\boxed{paris}", True, "paris"),
        (CHOICE, "\\boxed{A}", True, "A"),
        (CHOICE, "\\boxed{B}", False, "B"),
        (CHOICE, "Paris", False, None),
        (SUM, "5 so \\boxed{5.0}", True, "5.0"),
        (SUM, "\\boxed{6}", False, "6"),
    ],
)
def test_strict_scoring(
    scripted_engine: Any,
    tokenizer: Any,
    verifier: Verifier,
    item: Item,
    response: str,
    correct: bool,
    found: str | None,
) -> None:
    engine = scripted_engine(lambda prompt: response)
    (result,) = answer(engine, tokenizer, verifier, Suite("s", "user", (item,)))["s"]
    assert (result.correct, result.answer, result.response, result.truncated) == (correct, found, response, False)


def test_requests_are_greedy_and_show_the_question_and_options_only(
    scripted_engine: Any, tokenizer: Any, verifier: Verifier
) -> None:
    secret = Item("i", "d", Task("free_form", "Who?", "Gold", evidence=("Proof",), solution="Because"), "Source")
    engine = scripted_engine(lambda prompt: "")
    answer(engine, tokenizer, verifier, Suite("s", "cloze", (CHOICE, secret)))
    first, second = engine.requests
    assert (first.temperature, first.n, first.max_tokens, first.grammar) == (0.0, 1, 40, None)
    assert all(option in bytes(first.prompt).decode() for option in OPTIONS)
    assert not any(word in bytes(second.prompt).decode() for word in ("Gold", "Proof", "Because", "Source"))


def test_forced_choice_has_a_grammar_and_room_for_every_option(
    scripted_engine: Any, tokenizer: Any, verifier: Verifier
) -> None:
    engine = scripted_engine(lambda prompt: "\\boxed{New York}")
    suite = Suite("cloze", "cloze", (CHOICE,)).as_forced()
    (result,) = answer(engine, tokenizer, verifier, suite, max_tokens=4)["cloze_forced"]
    assert (result.answer, result.correct, result.truncated) == ("New York", False, False)
    assert engine.requests[0].grammar == option_grammar(OPTIONS)


def test_truncation_is_recorded(scripted_engine: Any, tokenizer: Any, verifier: Verifier) -> None:
    engine = scripted_engine(lambda prompt: "x" * 50)
    assert answer(engine, tokenizer, verifier, Suite("s", "user", (SUM,)))["s"][0].truncated


def test_a_suites_own_oracle_replaces_the_verifier(scripted_engine: Any, tokenizer: Any, verifier: Verifier) -> None:
    engine = scripted_engine(lambda prompt: "anything")
    suite = Suite("s", "reasoning", (SUM,), grade=lambda pairs: [Verdict(True, text) for text, _ in pairs])
    (result,) = answer(engine, tokenizer, verifier, suite)["s"]
    assert (result.correct, result.answer) == (True, "anything")


def test_results_follow_the_items_and_progress_reaches_the_end(
    scripted_engine: Any, tokenizer: Any, verifier: Verifier
) -> None:
    items = tuple(Item(str(i), "d", Task("free_form", f"Say {i}.", str(i)), "") for i in range(150))
    engine = scripted_engine(lambda prompt: f"\\boxed{{{prompt.split('Say ')[-1].strip('.')}}}")
    steps: list[tuple[int, int]] = []
    results = answer(
        engine, tokenizer, verifier, Suite("a", "user", items), Suite("b", "user", (SUM,)),
        report=lambda done, total: steps.append((done, total)),
    )  # fmt: skip
    assert [result.id for result in results["a"]] == [str(i) for i in range(150)]
    assert all(result.correct for result in results["a"])
    assert steps[-1] == (151, 151)
    assert [done for done, _ in steps] == sorted({done for done, _ in steps})


@pytest.mark.parametrize(
    "options", [OPTIONS, ("5%", "$3.2 million", "Côte d'Ivoire", 'the "Big" one'), ("a\\b", "日本")]
)
def test_the_grammar_permits_the_options_and_nothing_else(options: tuple[str, ...]) -> None:
    llguidance = pytest.importorskip("llguidance", reason="needs the train extra")
    tokenizer = llguidance.LLTokenizer("byte")
    grammar = llguidance.LLMatcher.grammar_from_lark(option_grammar(options).text)

    def accepts(text: str) -> bool:
        matcher = llguidance.LLMatcher(tokenizer, grammar)
        assert not matcher.is_error(), matcher.get_error()
        tokens = tokenizer.tokenize_str(text)
        return bool(matcher.try_consume_tokens(tokens) == len(tokens) and matcher.is_accepting())

    for option in options:
        assert accepts(f"\\boxed{{{option}}}")
        assert not accepts(f"\\boxed{{{option}")
        assert not accepts(f"\\boxed{{{option}}} ")
        assert not accepts(option)
    assert not accepts("\\boxed{Oslo}")


@pytest.mark.torch
def test_a_model_that_knows_nothing_still_picks_an_option_when_forced(tiny_folder: Path, verifier: Verifier) -> None:
    from spice.models.loading import load_model, load_tokenizer
    from spice.rollout.transformers_engine import TransformersEngine

    tokenizer = load_tokenizer(tiny_folder)
    engine = TransformersEngine(load_model(tiny_folder, "float32"), tokenizer, 8192)
    free = Suite("cloze", "cloze", (CHOICE,) * 3)
    results = answer(engine, tokenizer, verifier, free, free.as_forced(), max_tokens=8)
    assert len(results["cloze"]) == 3
    for result in results["cloze_forced"]:
        assert result.answer in OPTIONS
        assert result.correct == (result.answer == "Paris")
        assert not result.truncated


def test_a_suite_may_have_a_prompt_of_its_own(scripted_engine: Any, tokenizer: Any, verifier: Verifier) -> None:
    engine = scripted_engine(lambda prompt: "\\boxed{A}")
    suite = Suite("s", "benchmark", (CHOICE,), prompt="Pick {one}: {{question}}\n{{options}}".format(one="one"))
    answer(engine, tokenizer, verifier, suite)
    (request,) = engine.requests
    assert bytes(request.prompt).decode() == (
        "user: Pick one: The capital of France is ____.\nA. Paris\nB. Cairo\nC. New York\nD. Rome"
    )
    assert (request.temperature, request.max_tokens, request.grammar) == (0.0, 40, None)


def test_samples_are_drawn_with_seeds_of_their_own_the_same_for_both_models(
    scripted_engine: Any, tokenizer: Any, verifier: Verifier
) -> None:
    items = tuple(Item(f"q#{sample}", "q", SUM.task, "", sample) for sample in range(4))
    suite = Suite("aime", "benchmark", items, temperature=0.6, seed=7)
    engines = [scripted_engine(lambda prompt: "\\boxed{5}") for _ in range(2)]
    for engine in engines:
        assert all(result.correct for result in answer(engine, tokenizer, verifier, suite)["aime"])
    seeds = [[request.seed for request in engine.requests] for engine in engines]
    assert seeds[0] == seeds[1]
    assert len(set(seeds[0])) == 4
    assert {request.temperature for request in engines[0].requests} == {0.6}


def test_forced_choice_tells_how_sure_the_model_was(scripted_engine: Any, tokenizer: Any, verifier: Verifier) -> None:
    engine = scripted_engine(lambda prompt: "\\boxed{Paris}")
    forced, free = Suite("f", "cloze", (CHOICE,), forced=True), Suite("s", "cloze", (CHOICE,))
    results = answer(engine, tokenizer, verifier, forced, free)
    assert results["f"][0].confidence == 1.0  # the script's log-probabilities are 0
    assert results["s"][0].confidence is None
