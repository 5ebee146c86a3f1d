# Unit tests of the built-in gate policy: `spice gate test tests/promotion/policy_test.rego`. The engine formats no
# integers as %f, and facts hold none where a fraction belongs; so these do not either.
package gate_test

import rego.v1

passing := {
	"candidate": "checkpoints/c",
	"base": "checkpoints/b",
	"suites": {
		"cloze": {"n": 240, "clusters": 60, "difference": {"value": 0.1, "low": 0.05, "high": 0.2, "lower_bound": 0.06}},
		"reasoning": {"n": 120, "clusters": 60, "difference": {"value": 0.001, "low": -0.04, "high": 0.04, "lower_bound": -0.03}},
	},
	"contamination": {"hits": 0, "items": 300, "testable": 290, "share": 0},
	"health": {"failures": []},
	"provenance": {"complete": true, "missing": []},
	"settings": {"primary_suite": "cloze", "min_improvement": 0.001, "regression_margin": 0.05, "max_contamination": 0.001},
}

# Level by level: the engine's object.union replaces what is nested.
with_suite(name, suite) := object.union(passing, {"suites": object.union(passing.suites, {name: suite})})

cloze(difference, clusters) := with_suite("cloze", {"n": 240, "clusters": clusters, "difference": difference})

reasoning(difference) := with_suite("reasoning", {"n": 120, "clusters": 60, "difference": difference})

with_settings(settings) := object.union(passing.settings, settings)

effect(value, low, high) := {"n": 120, "clusters": 60, "base": 0.1, "candidate": 0.2, "value": value, "low": low, "high": high, "upper_bound": high, "measure": "m"}

rising(value, low, high) := object.union(passing, {
	"side_effects": {"bias_amplification": effect(value, low, high)},
	"settings": with_settings({"side_effect_margins": {"bias_amplification": 0.05}}),
})

judged(low) := object.union(passing, {
	"judge": {"model": "wise", "agreement": {"n": 100, "rate": 0.95, "low": low, "high": 0.99, "kappa": 0.9}},
	"settings": with_settings({"min_judge_agreement": 0.8}),
})

inputs := {
	"better_passes": passing,
	"chance_is_inconclusive": cloze({"value": 0.05, "low": -0.01, "high": 0.1, "lower_bound": 0.001}, 60),
	"worse_fails": cloze({"value": -0.1, "low": -0.2, "high": -0.05, "lower_bound": -0.19}, 60),
	"few_documents_are_inconclusive": cloze({"value": 0.1, "low": 0.05, "high": 0.2, "lower_bound": 0.06}, 9),
	"a_real_loss_elsewhere_fails": reasoning({"value": -0.2, "low": -0.3, "high": -0.1, "lower_bound": -0.28}),
	"a_possible_loss_is_inconclusive": reasoning({"value": 0.001, "low": -0.1, "high": 0.1, "lower_bound": -0.08}),
	"leaked_items_fail": object.union(passing, {"contamination": {"hits": 3, "items": 300, "testable": 290, "share": 0.01}}),
	"unmeasured_leaks_are_inconclusive": object.union(passing, {"contamination": {"hits": 0, "items": 300, "testable": 0, "share": 0}}),
	"sick_training_fails": object.union(passing, {"health": {"failures": ["loss was not a finite number"]}}),
	"no_origin_fails": object.union(passing, {"provenance": {"complete": false, "missing": []}}),
	"nothing_new_fails": object.union(passing, {"candidate": "checkpoints/b"}),
	"missing_facts_never_pass": {},
	"few_independent_items_elsewhere_are_inconclusive": with_suite("samples", {"n": 64, "clusters": 2, "difference": {"value": 0.001, "low": -0.04, "high": 0.04, "lower_bound": -0.03}}),
	"a_margin_of_its_own_holds": object.union(
		with_suite("strict", {"n": 40, "clusters": 40, "difference": {"value": -0.01, "low": -0.05, "high": 0.03, "lower_bound": -0.04}}),
		{"settings": with_settings({"margins": {"strict": 0.02}})},
	),
	"what_is_required_must_be_measured": object.union(passing, {"settings": with_settings({"required_suites": ["bias"]})}),
	"what_is_required_and_measured_passes": object.union(passing, {"settings": with_settings({"required_suites": ["reasoning"]})}),
	"a_side_effect_within_its_margin_passes": rising(0.001, -0.02, 0.03),
	"a_side_effect_beyond_its_margin_fails": rising(0.2, 0.1, 0.3),
	"a_side_effect_that_may_be_is_inconclusive": rising(0.02, -0.02, 0.06),
	"a_side_effect_unmeasured_is_inconclusive": object.union(passing, {"settings": with_settings({"side_effect_margins": {"calibration_brier": 0.05}})}),
	"a_judge_that_agrees_passes": judged(0.85),
	"a_judge_that_may_not_agree_is_inconclusive": judged(0.75),
}

test_better_passes if {
	data.gate.outcome == "pass"
	count(data.gate.reasons) == 6
}

test_chance_is_inconclusive if data.gate.outcome == "inconclusive"

test_worse_fails if data.gate.outcome == "fail"

test_few_documents_are_inconclusive if data.gate.outcome == "inconclusive"

test_a_real_loss_elsewhere_fails if data.gate.outcome == "fail"

test_a_possible_loss_is_inconclusive if data.gate.outcome == "inconclusive"

test_leaked_items_fail if data.gate.outcome == "fail"

test_unmeasured_leaks_are_inconclusive if data.gate.outcome == "inconclusive"

test_sick_training_fails if {
	data.gate.outcome == "fail"
	some reason in data.gate.reasons
	contains(reason, "finite number")
}

test_no_origin_fails if data.gate.outcome == "fail"

test_nothing_new_fails if data.gate.outcome == "fail"

test_missing_facts_never_pass if data.gate.outcome != "pass"

test_a_margin_of_its_own_holds if {
	data.gate.outcome == "inconclusive"
	some reason in data.gate.reasons
	contains(reason, "A loss on strict cannot be excluded")
}

test_what_is_required_must_be_measured if data.gate.outcome == "inconclusive"

test_what_is_required_and_measured_passes if data.gate.outcome == "pass"

test_a_side_effect_within_its_margin_passes if {
	data.gate.outcome == "pass"
	count(data.gate.reasons) == 7
}

test_a_side_effect_beyond_its_margin_fails if data.gate.outcome == "fail"

test_a_side_effect_that_may_be_is_inconclusive if data.gate.outcome == "inconclusive"

test_a_side_effect_unmeasured_is_inconclusive if data.gate.outcome == "inconclusive"

test_a_judge_that_agrees_passes if data.gate.outcome == "pass"

test_a_judge_that_may_not_agree_is_inconclusive if data.gate.outcome == "inconclusive"

test_few_independent_items_elsewhere_are_inconclusive if {
	data.gate.outcome == "inconclusive"
	some reason in data.gate.reasons
	contains(reason, "samples has 2 independent items only")
}
