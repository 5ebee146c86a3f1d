from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from spice.config import PromotionConfig
from spice.errors import RefusedError
from spice.promotion import gate, policy, regoworker
from spice.promotion.facts import GateFacts, schema, text

CLEAN = {"n_gram": 13, "items": 300, "testable": 290, "hits": 0, "share": 0.0}
WHOLE = {"complete": True, "missing": []}


def figures(low: float, high: float, n: int = 240) -> dict[str, Any]:
    return {
        "n": n,
        "metric": "accuracy",
        "kind": "cloze",
        "candidate": {"rate": 0.5, "low": 0.4, "high": 0.6, "correct": 120},
        "base": {"rate": 0.4, "low": 0.3, "high": 0.5, "correct": 96},
        "difference": {"value": (low + high) / 2, "low": low, "high": high, "lower_bound": low, "method": "m"},
        "mcnemar_p": 0.01,
        "clusters": 60,
        "verdict": "better",
    }


@dataclass
class Case:
    name: str
    outcome: str
    reason: str
    suites: dict[str, tuple[float, float]] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)


LIMIT = {"side_effect_margins": {"bias_amplification": 0.05}}


def effect(value: float, low: float, high: float) -> dict[str, Any]:
    figures = {"n": 120, "clusters": 60, "base": 0.1, "candidate": 0.1 + value, "measure": "gap"}
    bounds = {"value": value, "low": low, "high": high, "upper_bound": high}
    return {"side_effects": {"bias_amplification": {**figures, **bounds}}}


def judge(low: float) -> dict[str, Any]:
    agreement = {"n": 100, "rate": 0.95, "low": low, "high": 0.99, "kappa": 0.8}
    counts = {"asked": 50, "equivalent": 10, "inconclusive": 1}
    return {"judge": {"model": "wise", "lineage": ["org/wise"], **counts, "agreement": agreement}}


CASES = [
    Case("better", "pass", "Improved on cloze: +0.125, interval +0.050 to +0.200, n = 240"),
    Case("alone", "pass", "No other suite lost", {"cloze": (0.05, 0.2)}),
    Case("just better", "pass", "Improved", {"cloze": (1e-9, 0.2)}),
    Case("rounding keeps no margin", "inconclusive", "A loss on r", {"cloze": (0.1, 0.2), "r": (-0.0500001, 0.1)}),
    Case("chance", "inconclusive", "not certain", {"cloze": (-0.02, 0.2)}),
    Case("touching zero", "inconclusive", "not certain", {"cloze": (0.0, 0.2)}),
    Case("no change at all", "fail", "No improvement", {"cloze": (0.0, 0.0)}),
    Case("worse", "fail", "No improvement on cloze: -0.150", {"cloze": (-0.2, -0.1)}),
    Case("too little", "fail", "above +0.300 is required", settings={"min_improvement": 0.3}),
    Case("not surely enough", "inconclusive", "above +0.100", settings={"min_improvement": 0.1}),
    Case(
        "other primary", "fail", "No improvement on r", {"cloze": (0.1, 0.2), "r": (-0.01, 0.0)}, {"primary_suite": "r"}
    ),
    Case("unmeasured", "inconclusive", "primary suite cloze was not measured", {"r": (0.1, 0.2)}),
    Case("margin kept", "pass", "lost more than 0.050 (1 of 1)", {"cloze": (0.1, 0.2), "r": (-0.05, -0.01)}),
    Case("margin broken", "fail", "Worse on r: -0.155", {"cloze": (0.1, 0.2), "r": (-0.3, -0.01)}),
    Case("margin open", "inconclusive", "A loss on r cannot be", {"cloze": (0.1, 0.2), "r": (-0.3, 0.3)}),
    Case("one of two", "fail", "Worse on s", {"cloze": (0.1, 0.2), "r": (0.0, 0.1), "s": (-0.3, -0.2)}),
    Case("fail beats doubt", "fail", "Worse on s", {"cloze": (-0.1, 0.2), "s": (-0.3, -0.2)}),
    Case("leaked", "fail", "3 of 300", facts={"contamination": {**CLEAN, "hits": 3, "share": 0.01}}),
    Case(
        "leak allowed",
        "pass",
        "3 of 300",
        settings={"max_contamination": 0.01},
        facts={"contamination": {**CLEAN, "hits": 3, "share": 0.01}},
    ),
    Case("leak unknown", "inconclusive", "Nothing says", facts={"contamination": {**CLEAN, "testable": 0}}),
    Case("sick", "fail", "loss was not a finite", facts={"health": {"failures": ["loss was not a finite number"]}}),
    Case("warned", "pass", "no failure", facts={"health": {"warnings": ["valid rate fell"]}}),
    Case("rootless", "fail", "incomplete: base", facts={"provenance": {"complete": False, "missing": ["base"]}}),
    Case("rootless 2", "fail", "incomplete", facts={"provenance": {"complete": False, "missing": []}}),
    Case("rootless 3", "fail", "incomplete: x", facts={"provenance": {"complete": True, "missing": ["x"]}}),
    Case(
        "own margin kept",
        "pass",
        "r has a margin of its own",
        {"cloze": (0.1, 0.2), "r": (-0.09, 0.1)},
        {"margins": {"r": 0.1}},
    ),
    Case(
        "own margin open",
        "inconclusive",
        "a loss of 0.010 is",
        {"cloze": (0.1, 0.2), "r": (-0.03, 0.1)},
        {"margins": {"r": 0.01}},
    ),
    Case("required", "inconclusive", "bias is required", settings={"required_suites": ["r", "bias"]}),
    Case("effect kept", "pass", "bias_amplification rose by +0.010", settings=LIMIT, facts=effect(0.01, -0.02, 0.04)),
    Case("effect beyond", "fail", "bias_amplification rose by +0.150", settings=LIMIT, facts=effect(0.15, 0.1, 0.2)),
    Case("effect open", "inconclusive", "A rise of bias_ampl", settings=LIMIT, facts=effect(0.15, 0.04, 0.2)),
    Case("effect on its margin", "pass", "rose by", settings=LIMIT, facts=effect(0.0, 0.0, 0.05)),
    Case("effect without margin", "pass", "Improved", facts=effect(0.15, 0.1, 0.2)),
    Case("effect unmeasured", "inconclusive", "was not measured", settings=LIMIT),
    Case("judge", "pass", "The judge wise agrees", facts=judge(0.9)),
    Case("judge at odds", "inconclusive", "may be as few as 0.790", facts=judge(0.79)),
    Case("nothing new", "fail", "same checkpoint", facts={"candidate": "checkpoints/b"}),
]


def facts_of(case: Case) -> dict[str, Any]:
    return {
        "candidate": "checkpoints/c",
        "base": "checkpoints/b",
        "corpus": "datasets/d",
        "run": "run",
        "evaluation": "evaluations/e",
        "suites": {
            name: figures(*i) for name, i in (case.suites or {"cloze": (0.05, 0.2), "r": (-0.03, 0.02)}).items()
        },
        "contamination": CLEAN,
        "health": {"warnings": [], "failures": []},
        "provenance": WHOLE,
        "settings": {**PromotionConfig().model_dump(), **case.settings},
        **case.facts,
    }


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_built_in_policy(case: Case) -> None:
    facts = GateFacts.model_validate(facts_of(case)).model_dump(mode="json")
    # In this process, for speed: the built-in policy does not crash the engine.
    answer = policy.Answer.model_validate(regoworker.evaluate(policy.load(None).text, facts))
    assert answer.outcome == case.outcome, answer.reasons
    assert any(case.reason in reason for reason in answer.reasons), answer.reasons


@pytest.mark.parametrize(
    "missing", ["suites", "contamination", "health", "provenance", "settings", "candidate", "base"]
)
def test_a_missing_fact_is_never_a_pass(missing: str) -> None:
    facts = facts_of(CASES[0])
    del facts[missing]
    assert policy.evaluate(policy.load(None), facts).outcome != "pass"


def test_the_gravest_reason_comes_first() -> None:
    case = Case("", "", "", {"cloze": (0.1, 0.2), "r": (-0.3, 0.3), "s": (-0.3, -0.2)})
    reasons = policy.evaluate(policy.load(None), facts_of(case)).reasons
    assert [reason.split(" on ")[0] for reason in reasons[:3]] == ["Worse", "A loss", "Improved"]


def rules(tmp_path: Path, text: str) -> policy.Policy:
    path = tmp_path / "own.rego"
    path.write_text(text)
    return policy.load(str(path))


def test_a_user_can_bring_their_own(tmp_path: Path) -> None:
    own = rules(tmp_path, 'package gate\nimport rego.v1\noutcome := "pass"\nreasons := [input.run] if input.run != ""')
    assert policy.evaluate(own, facts_of(CASES[0])) == policy.Answer(outcome="pass", reasons=("run",))
    assert own.digest != policy.load(None).digest


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("package gate\n outcome := := 1", "not usable"),
        ("package other\nimport rego.v1\noutcome := 1", "gave no answer"),
        ('package gate\nimport rego.v1\noutcome := "maybe"\nreasons := []', "gave no answer"),
        ('package gate\nimport rego.v1\noutcome := "pass" if input.nothing\nreasons := []', "gave no answer"),
        ('package gate\nimport rego.v1\noutcome := "pass"', "gave no answer"),
        ("package gate\nimport rego.v1\noutcome := true\nreasons := []", "gave no answer"),
        ('package gate\nimport rego.v1\noutcome := "pass"\noutcome := "fail"\nreasons := []', "nothing passes"),
        ('package gate\nimport rego.v1\na := 1 with input as {}\noutcome := "pass"\nreasons := []', "nothing passes"),
        ("", "nothing passes"),
    ],
)
def test_a_policy_that_does_not_answer_passes_nothing(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(RefusedError, match=problem):
        policy.evaluate(rules(tmp_path, text), facts_of(CASES[0]))


def test_a_policy_that_crashes_the_engine_passes_nothing(tmp_path: Path) -> None:
    text = (
        "package gate\nimport rego.v1\nlow if input.x > 1\n"
        'ok if { low with input as {"x": 2, "suites": {}} }\noutcome := "pass" if ok\nreasons := []'
    )
    with pytest.raises(RefusedError, match="nothing passes"):
        policy.evaluate(rules(tmp_path, text), facts_of(CASES[0]))


def test_a_policy_that_cannot_be_read_passes_nothing(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="cannot be read"):
        policy.load(str(tmp_path / "missing.rego"))
    (tmp_path / "binary.rego").write_bytes(b"\xff\xfe")
    with pytest.raises(RefusedError, match="cannot be read"):
        policy.load(str(tmp_path / "binary.rego"))


def test_text_from_outside_reaches_the_reasons_as_it_is() -> None:
    odd = 'quote " back \\ line \n tab \t ü € 🎉 \u2028 %d {x} `y`'
    case = Case("", "", "", facts={"provenance": {"complete": False, "missing": [odd]}})
    assert f"The candidate's origin is incomplete: {odd}." in policy.evaluate(policy.load(None), facts_of(case)).reasons


def test_unit_tests_in_rego_hold() -> None:
    results = policy.test(policy.load(None), policy.load(str(Path(__file__).with_name("policy_test.rego"))))
    assert len(results) == 22
    assert all(results.values()), results


def test_unit_tests_in_rego_can_fail(tmp_path: Path) -> None:
    tests = rules(
        tmp_path,
        'package gate_test\nimport rego.v1\ninputs := {"a": {}, "b": {}}\n'
        'test_a if data.gate.outcome == "fail"\ntest_b if data.gate.outcome == "pass"',
    )
    assert policy.test(policy.load(None), tests) == {"a": True, "b": False}
    with pytest.raises(RefusedError, match="cannot be run"):
        policy.test(policy.load(None), rules(tmp_path, "package other"))


@pytest.mark.parametrize(("answer", "outcome"), [("pass", "pass"), ("fail", "fail"), ("inconclusive", "inconclusive")])
def test_policies_beside_ours_must_pass_too(tmp_path: Path, answer: str, outcome: str) -> None:
    path = tmp_path / "beside.rego"
    path.write_text(f'package gate\nimport rego.v1\noutcome := "{answer}"\nreasons := ["beside"]')
    config = PromotionConfig(policies=(str(path),))
    facts = facts_of(CASES[0])
    decision = gate.decide(GateFacts.model_validate({**facts, "settings": config.model_dump()}), config)
    assert (decision.outcome, decision.reasons[-1]) == (outcome, "beside")
    assert [(each.name, each.outcome) for each in decision.policies] == [("built-in", "pass"), ("beside.rego", answer)]
    alone = gate.decide(GateFacts.model_validate(facts), PromotionConfig())
    assert decision.policy_digest != alone.policy_digest


def test_the_facts_have_a_documented_schema() -> None:
    documented = Path(__file__).parents[2] / "docs" / "gate-facts.schema.json"
    assert documented.read_text() == text(), "run: spice gate schema > docs/gate-facts.schema.json"
    assert set(schema()["required"]) == set(facts_of(CASES[0]))
