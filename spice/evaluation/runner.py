r"""Puts the items to one model and judges its answers.

Base and candidate get the same prompts, decoded greedily unless a suite samples;
then with the same seeds. Prompts hold the question and its options only, never
a document. Under forced choice a grammar permits `\boxed{<option>}` and nothing
else.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Sequence

from spice.config import RecipeConfig
from spice.evaluation.items import Item, ItemResult, Results, Suite
from spice.rollout.base import Completion, Engine, Grammar, Request
from spice.selfplay.prompts import ChatTokenizer, Message, reasoner_messages, render
from spice.selfplay.types import LETTERS, Task, Verdict
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
        (suite, place, _request(suite, item, tokenizer, recipe, max_tokens))
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


def _request(suite: Suite, item: Item, tokenizer: ChatTokenizer, recipe: RecipeConfig, max_tokens: int) -> Request:
    """Under forced choice there is room for the longest option."""
    prompt = render(tokenizer, _messages(suite, item.task, recipe))
    if not suite.forced:
        seed = _seed(suite, item) if suite.temperature else 0
        return Request(prompt, max_tokens=max_tokens, temperature=suite.temperature, seed=seed)
    # A grammar may take other tokens than the tokenizer would, but never more than there are bytes.
    room = max(len(f"\\boxed{{{option}}}".encode()) for option in item.task.options) + _END_TOKENS
    return Request(prompt, max_tokens=room, grammar=option_grammar(item.task.options))


def _messages(suite: Suite, task: Task, recipe: RecipeConfig) -> list[Message]:
    if suite.prompt is None:
        return reasoner_messages(task, recipe)
    options = "\n".join(f"{letter}. {option}" for letter, option in zip(LETTERS, task.options, strict=False))
    return [{"role": "user", "content": suite.prompt.format(question=task.question, options=options)}]


def _seed(suite: Suite, item: Item) -> int:
    """One stream per answer, whatever else is asked."""
    return int.from_bytes(hashlib.sha256(f"{suite.seed}/{suite.name}/{item.id}".encode()).digest()[:4])


def _judge(suite: Suite, completions: Sequence[Completion], verifier: Verifier) -> tuple[ItemResult, ...]:
    answered = [(completion.text, item) for completion, item in zip(completions, suite.items, strict=True)]
    if suite.grade is not None:
        verdicts = suite.grade(answered)
    else:
        verdicts = verifier.check([(text, item.task) for text, item in answered])
    return tuple(
        _result(item, completion, verdict, forced=suite.forced)
        for item, completion, verdict in zip(suite.items, completions, verdicts, strict=True)
    )


def _result(item: Item, completion: Completion, verdict: Verdict, *, forced: bool) -> ItemResult:
    confidence = min(1.0, math.exp(float(completion.logprobs.sum()))) if forced else None
    truncated = completion.finish == "length"
    return ItemResult(item.id, verdict.correct, verdict.extracted, completion.text, truncated, confidence)
