r"""Puts the items to one model and judges its answers.

Base and candidate get the same prompts, decoded greedily. Prompts hold the
question and its options only, never a document. Under forced choice a grammar
permits `\boxed{<option>}` and nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from spice.config import RecipeConfig
from spice.evaluation.items import Item, ItemResult, Results, Suite
from spice.rollout.base import Completion, Engine, Grammar, Request
from spice.selfplay.prompts import ChatTokenizer, reasoner_messages, render
from spice.selfplay.types import Task, Verdict
from spice.selfplay.verify import Verifier

_BATCH = 128
_END_TOKENS = 4

Report = Callable[[int, int], None]
"""Called with the items answered so far and the items in all."""


def run(
    engine: Engine,
    tokenizer: ChatTokenizer,
    suites: Sequence[Suite],
    *,
    recipe: RecipeConfig,
    max_tokens: int,
    verifier: Verifier,
    report: Report = lambda _done, _total: None,
) -> Results:
    """Answer every item of every suite.

    Args:
        engine: holds the model's weights.
        tokenizer: the model's.
        suites: what to answer.
        recipe: which Reasoner template; the same for both models that are compared.
        max_tokens: longest free answer. Forced answers may be as long as the longest option.
        verifier: judges the suites that have no oracle of their own.
        report: told of progress after each batch.

    Returns:
        One result per item, in the suite's order, by suite.
    """
    asked = [
        (suite, place, _request(item.task, tokenizer, recipe, None if suite.forced else max_tokens))
        for suite in suites
        for place, item in enumerate(suite.items)
    ]
    # What asks the same goes into the same batch, where the engine reads the prompt once.
    first = {request.prompt: number for number, (_, _, request) in reversed(list(enumerate(asked)))}
    asked.sort(key=lambda entry: first[entry[2].prompt])
    completions: dict[str, dict[int, Completion]] = {suite.name: {} for suite in suites}
    for start in range(0, len(asked), _BATCH):
        batch = asked[start : start + _BATCH]
        answers = engine.generate([request for _, _, request in batch])
        for (suite, place, _), (completion,) in zip(batch, answers, strict=True):
            completions[suite.name][place] = completion
        report(start + len(batch), len(asked))
    return {
        suite.name: _judge(suite, [completions[suite.name][place] for place in range(len(suite.items))], verifier)
        for suite in suites
    }


def option_grammar(options: Sequence[str]) -> Grammar:
    r"""A grammar of `\boxed{option}` for each option, and nothing else."""
    choices = " | ".join(json.dumps(f"\\boxed{{{option}}}", ensure_ascii=False) for option in options)
    return Grammar("lark", f"start: {choices}")


def _request(task: Task, tokenizer: ChatTokenizer, recipe: RecipeConfig, max_tokens: int | None) -> Request:
    """A greedy request; without `max_tokens`, under forced choice with room for the longest option."""
    prompt = render(tokenizer, reasoner_messages(task, recipe))
    if max_tokens is not None:
        return Request(prompt, max_tokens=max_tokens)
    # A grammar may take other tokens than the tokenizer would, but never more than there are bytes.
    room = max(len(f"\\boxed{{{option}}}".encode()) for option in task.options) + _END_TOKENS
    return Request(prompt, max_tokens=room, grammar=option_grammar(task.options))


def _judge(suite: Suite, completions: Sequence[Completion], verifier: Verifier) -> tuple[ItemResult, ...]:
    answered = [(completion.text, item) for completion, item in zip(completions, suite.items, strict=True)]
    if suite.grade is not None:
        verdicts = suite.grade(answered)
    else:
        verdicts = verifier.check([(text, item.task) for text, item in answered])
    return tuple(
        _result(item, completion, verdict)
        for item, completion, verdict in zip(suite.items, completions, verdicts, strict=True)
    )


def _result(item: Item, completion: Completion, verdict: Verdict) -> ItemResult:
    return ItemResult(item.id, verdict.correct, verdict.extracted, completion.text, completion.finish == "length")
