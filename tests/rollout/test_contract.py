"""What every engine must do. A new engine joins by one line in this folder's `conftest.ENGINES`."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from itertools import chain

import numpy as np
import pytest
from scipy.special import entr
from scipy.stats import chisquare

from spice.errors import ConfigError
from spice.rollout.base import Grammar, Request

pytestmark = pytest.mark.torch

INSTRUCTIONS = "The capital of a country is a city. Read the text and write a question about a fact in it. "
# Prompts by what they have in common; engines share work between prompts, and it must not show.
PROMPTS = {
    "nothing in common": ["Which river is the longest?", "When", "a list of instructions in the university laboratory"],
    "a long common beginning": [INSTRUCTIONS + end for end in ("Who", "Where is the island?", "How many people live")],
    "one begins another": [INSTRUCTIONS, INSTRUCTIONS + "The mountain", INSTRUCTIONS + "The mountain is high."],
    "all the same": [INSTRUCTIONS] * 3,
    "alone": [INSTRUCTIONS],
    "one token": ["a", "?"],
}
SCHEMA = {
    "type": "object",
    "properties": {"letter": {"enum": ["A", "B"]}, "count": {"type": "integer", "minimum": 0, "maximum": 9}},
    "required": ["letter", "count"],
    "additionalProperties": False,
}
GRAMMARS = {
    "regex": Grammar("regex", r"(yes|no|in [0-9]{4})\.?"),
    "lark": Grammar("lark", 'start: "Question: " /[a-z ]{3,9}/ "?\\nAnswer: " ("gold" | "São Tomé" | "two \\"oil\\"")'),
    "json_schema": Grammar("json_schema", json.dumps(SCHEMA)),
}


def _fits(kind: str, text: str) -> bool:
    if kind == "regex":
        return re.fullmatch(GRAMMARS["regex"].text, text) is not None
    if kind == "lark":
        pattern = r'Question: [a-z ]{3,9}\?\nAnswer: (gold|São Tomé|two "oil")'
        return re.fullmatch(pattern, text) is not None
    value = json.loads(text)
    return value.keys() == {"letter", "count"} and value["letter"] in {"A", "B"} and value["count"] in range(10)


@pytest.mark.parametrize("prompts", PROMPTS.values(), ids=PROMPTS.keys())
def test_greedy_is_what_generate_writes(engine, reference, prompts):
    requests = [Request(reference.encode(p), max_tokens=12) for p in prompts]
    for request, (completion,) in zip(requests, engine.generate(requests), strict=True):
        assert completion.tokens == reference.greedy(request.prompt, request.max_tokens)


@pytest.mark.parametrize("prompts", PROMPTS.values(), ids=PROMPTS.keys())
@pytest.mark.parametrize("temperature", [0.0, 0.8])
@pytest.mark.parametrize("grammar", [None, GRAMMARS["lark"]], ids=["free", "grammar"])
def test_logprobs_and_entropies_are_those_of_a_plain_pass(engine, reference, updated, prompts, temperature, grammar):
    requests = [
        Request(reference.encode(p), n=3, max_tokens=10, temperature=temperature, grammar=grammar, seed=i)
        for i, p in enumerate(prompts)
    ]

    def check(truth):
        for request, completions in zip(requests, engine.generate(requests), strict=True):
            for completion in completions:
                wanted = truth.distributions(request.prompt, completion, temperature).numpy()
                drawn = np.take_along_axis(wanted, np.array(completion.tokens)[:, None], 1)[:, 0]
                np.testing.assert_allclose(completion.logprobs, drawn, atol=1e-3)
                surprise = entr(np.exp(wanted)).sum(1)
                np.testing.assert_allclose(completion.entropies, surprise, atol=1e-3)
                assert (completion.allowed is not None) == (grammar is not None)

    check(reference)
    engine.update_weights(updated.state())
    check(updated)


def test_new_weights_write_something_else(engine, reference, updated):
    request = Request(reference.encode(INSTRUCTIONS), max_tokens=12)
    before = engine.generate([request])
    engine.update_weights(updated.state())
    after = engine.generate([request])
    assert before[0][0].tokens == reference.greedy(request.prompt, 12)
    assert after[0][0].tokens == updated.greedy(request.prompt, 12) != before[0][0].tokens


def test_new_weights_are_copied(engine, reference, updated):
    """A learner changes its own tensors in place while the engine holds on to the old policy."""
    state = {name: tensor.detach().clone() for name, tensor in updated.state().items()}
    engine.update_weights(state)
    for tensor in state.values():
        tensor.zero_()
    request = Request(reference.encode(INSTRUCTIONS), max_tokens=8)
    assert engine.generate([request])[0][0].tokens == updated.greedy(request.prompt, 8)


def _mixed(reference):
    """Requests of every sort: lengths, counts, temperatures, grammars."""
    texts = [text for prompts in PROMPTS.values() for text in prompts]
    return [
        Request(
            reference.encode(text),
            n=1 + i % 3,
            max_tokens=(2, 30, 9)[i % 3],
            temperature=(0.8, 0.0, 1.2, 1.0)[i % 4],
            grammar=[None, None, *GRAMMARS.values()][i % 5],
            seed=100 + i,
        )
        for i, text in enumerate(texts)
    ]


def _tokens(results):
    return [[completion.tokens for completion in completions] for completions in results]


@pytest.mark.parametrize("batch_tokens", [1, 150, 400])
def test_splitting_a_batch_changes_nothing(make_engine, reference, batch_tokens):
    requests = _mixed(reference)
    whole, parts = make_engine().generate(requests), make_engine(batch_tokens).generate(requests)
    assert _tokens(parts) == _tokens(whole)
    for one, other in zip(chain(*parts), chain(*whole), strict=True):
        np.testing.assert_allclose(one.logprobs, other.logprobs, atol=1e-4)


def test_a_request_is_answered_alike_alone_in_company_and_in_another_order(engine, reference):
    requests = _mixed(reference)
    together = _tokens(engine.generate(requests))
    assert [_tokens(engine.generate([request]))[0] for request in requests] == together
    assert _tokens(engine.generate(requests[::-1])) == together[::-1]


def test_generating_again_gives_the_same(engine, reference):
    requests = _mixed(reference)
    assert _tokens(engine.generate(requests)) == _tokens(engine.generate(requests))


def test_seeds_and_copies_differ(engine, reference):
    prompt = reference.encode(INSTRUCTIONS)
    requests = [Request(prompt, n=8, max_tokens=6, temperature=1.0, seed=seed) for seed in range(8)]
    texts = [completion.tokens for completions in engine.generate(requests) for completion in completions]
    assert len(set(texts)) == len(texts) == 64


def test_more_copies_begin_with_the_same_ones(engine, reference):
    few = Request(reference.encode(INSTRUCTIONS), n=2, max_tokens=6, temperature=1.0, seed=4)
    (two,), (five,) = _tokens(engine.generate([few])), _tokens(engine.generate([replace(few, n=5)]))
    assert five[:2] == two


def test_lengths_and_finish_reasons(engine, reference):
    end = reference.tokenizer.eos_token_id
    requests = [
        Request(reference.encode(text), n=40, max_tokens=limit, temperature=2.5, seed=limit)
        for text in ("The island", INSTRUCTIONS)
        for limit in (1, 2, 90)
    ]
    results = engine.generate(requests)
    finishes = Counter()
    for request, completions in zip(requests, results, strict=True):
        assert len(completions) == request.n
        for completion in completions:
            *before, last = completion.tokens
            assert end not in before
            assert len(completion.tokens) <= request.max_tokens
            assert completion.finish == ("stop" if last == end else "length")
            assert completion.finish == "stop" or len(completion.tokens) == request.max_tokens
            assert completion.logprobs.shape == completion.entropies.shape == (len(completion.tokens),)
            assert completion.logprobs.dtype == completion.entropies.dtype == np.float32
            assert completion.text == reference.tokenizer.decode(completion.tokens, skip_special_tokens=True)
            finishes[completion.finish] += 1
    assert min(finishes["stop"], finishes["length"]) > 5


def test_nothing_asked_nothing_written(engine):
    assert engine.generate([]) == []


def test_first_tokens_follow_the_models_distribution(engine, reference):
    request = Request(reference.encode(INSTRUCTIONS), n=6000, max_tokens=1, temperature=0.7, seed=11)
    (completions,) = engine.generate([request])
    wanted = request.n * reference.distributions(request.prompt, completions[0], 0.7)[0].exp().numpy()
    counts = np.bincount([completion.tokens[0] for completion in completions], minlength=len(wanted)).astype(float)
    common = wanted >= 5
    assert common.sum() > 10
    observed, expected = (
        np.append(counts[common], counts[~common].sum()),
        np.append(wanted[common], wanted[~common].sum()),
    )
    assert chisquare(observed, expected).pvalue > 1e-3


def test_texts_under_a_grammar_follow_the_distribution_that_their_logprobs_tell(engine, reference):
    """Independent over steps and copies: whole texts come as often as the product of their tokens says."""
    request = Request(
        reference.encode(INSTRUCTIONS),
        n=6000,
        max_tokens=4,
        temperature=1.0,
        grammar=Grammar("regex", "[abc]{1,2}"),
        seed=5,
    )
    (completions,) = engine.generate([request])
    probabilities = {completion.tokens: float(np.exp(completion.logprobs.sum())) for completion in completions}
    counts = Counter(completion.tokens for completion in completions)
    assert len(counts) > 8
    assert sum(probabilities.values()) == pytest.approx(1.0, abs=0.01)
    common = [tokens for tokens, p in probabilities.items() if p * request.n >= 5]
    observed = [counts[tokens] for tokens in common]
    expected = [request.n * probabilities[tokens] for tokens in common]
    rest = (request.n - sum(observed), max(request.n - sum(expected), 1e-9))
    assert chisquare([*observed, rest[0]], [*expected, rest[1]], sum_check=False).pvalue > 1e-3


@pytest.mark.parametrize("kind", GRAMMARS)
def test_what_stopped_under_a_grammar_matches_it(engine, reference, kind):
    request = Request(
        reference.encode(INSTRUCTIONS), n=24, max_tokens=80, temperature=1.0, grammar=GRAMMARS[kind], seed=2
    )
    (completions,) = engine.generate([request])
    finished = [completion for completion in completions if completion.finish == "stop"]
    assert len(finished) > 5
    assert all(_fits(kind, completion.text) for completion in finished)


@pytest.mark.parametrize("kind", GRAMMARS)
def test_allowed_bits_hold_the_token_and_forced_tokens_cost_nothing(engine, reference, unpack, kind):
    vocabulary = reference.model.config.vocab_size
    request = Request(
        reference.encode(INSTRUCTIONS), n=8, max_tokens=60, temperature=0.8, grammar=GRAMMARS[kind], seed=3
    )
    forced = 0
    for completion in engine.generate([request])[0]:
        assert completion.allowed.shape == (len(completion.tokens), -(-vocabulary // 32))
        bits = unpack(completion, vocabulary)
        assert bits[np.arange(len(completion.tokens)), list(completion.tokens)].all()
        alone = bits.sum(1) == 1
        assert (completion.logprobs[alone] == 0).all() and (completion.entropies[alone] == 0).all()
        forced += alone.sum()
    assert forced > 0


def test_a_grammar_binds_its_own_request_only(engine, reference):
    prompt = reference.encode(INSTRUCTIONS)
    free = Request(prompt, max_tokens=12)
    ruled = replace(free, grammar=GRAMMARS["regex"])
    (alone,), (beside,), (held,) = engine.generate([free])[0], *engine.generate([free, ruled])
    assert beside.tokens == alone.tokens and beside.allowed is None
    assert _fits("regex", held.text)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("regex", "(unclosed"),
        ("lark", "start: nowhere"),
        ("lark", ""),
        ("json_schema", "{not json"),
        ("json_schema", "[]"),
        ("json_schema", '{"type": "nonsense"}'),
    ],
)
def test_a_grammar_that_does_not_compile_is_named(engine, kind, text):
    with pytest.raises(ConfigError, match=f"{kind} grammar does not compile"):
        engine.generate([Request((5, 6), grammar=Grammar(kind, text))])


def test_requests_for_one_prompt_are_answered_as_if_alone(engine, reference):
    prompt = reference.encode(INSTRUCTIONS)
    ruled = Request(prompt, max_tokens=12, grammar=Grammar("regex", "(yes|no)"))
    requests = [Request(prompt, max_tokens=6), ruled, Request(prompt, n=3, max_tokens=9, temperature=1.0, seed=5)]
    alone = [_tokens(engine.generate([request]))[0] for request in requests]
    assert _tokens(engine.generate(requests)) == alone
