# The gate: may this candidate be released?
#
# Input: the facts (spice/promotion/facts.py). Output, of this or any other gate
# policy: `outcome`, one of "pass", "fail" and "inconclusive", and `reasons`, a
# list of sentences. A missing fact makes a rule undefined rather than false, so
# "pass" is never what is left over: it needs every condition to be shown.
package gate

import rego.v1

default outcome := "inconclusive"

outcome := "fail" if count(failures) > 0

outcome := "pass" if {
	count(failures) == 0
	count(doubts) == 0
	count(shown) == 6
	all_measured
	effects_kept
	judge_trusted
}

# Gravest first. (The engine iterates over sets in order.)
reasons := array.concat(
	[r | some r in failures],
	array.concat([r | some r in doubts], array.concat([r | some r in shown], [r | some r in noted])),
)

primary := input.suites[input.settings.primary_suite]

# 1. The primary suite got better, beyond what chance explains. Resampling fewer documents than this says little.

min_clusters := 10

shown contains sprintf(
	"Improved on %s: %+.3f, interval %+.3f to %+.3f, n = %d; above %+.3f is required.",
	[input.settings.primary_suite, primary.difference.value, primary.difference.low, primary.difference.high, primary.n, input.settings.min_improvement],
) if {
	primary.difference.low > input.settings.min_improvement
	primary.clusters >= min_clusters
}

doubts contains sprintf(
	"%s asks about %d documents only; %d are needed for its interval to mean anything.",
	[input.settings.primary_suite, primary.clusters, min_clusters],
) if {
	primary.clusters < min_clusters
}

failures contains sprintf(
	"No improvement on %s: %+.3f, interval %+.3f to %+.3f, n = %d; above %+.3f is required.",
	[input.settings.primary_suite, primary.difference.value, primary.difference.low, primary.difference.high, primary.n, input.settings.min_improvement],
) if {
	primary.difference.high <= input.settings.min_improvement
}

doubts contains sprintf(
	"Improvement on %s is not certain: %+.3f, interval %+.3f to %+.3f, n = %d; the whole interval must be above %+.3f. More items or more training may decide it.",
	[input.settings.primary_suite, primary.difference.value, primary.difference.low, primary.difference.high, primary.n, input.settings.min_improvement],
) if {
	primary.difference.low <= input.settings.min_improvement
	primary.difference.high > input.settings.min_improvement
}

doubts contains sprintf("The primary suite %s was not measured.", [input.settings.primary_suite]) if {
	not primary.difference.low
}

# 2. No other suite got worse than its margin: a non-inferiority test, on the one-sided 95% bound of the difference.

others contains name if {
	some name, _ in input.suites
	name != input.settings.primary_suite
}

# Some suites have a margin of their own, such as what must be refused.
margin(name) := object.get(object.get(input.settings, "margins", {}), name, input.settings.regression_margin)

own_margin(name) if margin(name) != input.settings.regression_margin

kept contains name if {
	some name in others
	input.suites[name].difference.lower_bound >= 0 - margin(name)
	input.suites[name].clusters >= min_clusters
}

few contains name if {
	some name in others
	input.suites[name].difference.lower_bound >= 0 - margin(name)
	input.suites[name].clusters < min_clusters
}

worse contains name if {
	some name in others
	input.suites[name].difference.lower_bound < 0 - margin(name)
	input.suites[name].difference.high < 0
}

shown contains sprintf("No other suite lost more than %.3f (%d of %d).", [input.settings.regression_margin, count(kept), count(others)]) if {
	count(kept) == count(others)
}

noted contains sprintf("%s has a margin of its own: at most %.3f may be lost.", [name, margin(name)]) if {
	some name in others
	own_margin(name)
}

failures contains sprintf(
	"Worse on %s: %+.3f, interval %+.3f to %+.3f, n = %d; a loss of %.3f is allowed.",
	[name, suite.difference.value, suite.difference.low, suite.difference.high, suite.n, margin(name)],
) if {
	some name in worse
	suite := input.suites[name]
}

doubts contains sprintf(
	"A loss on %s cannot be excluded: %+.3f, with 95%% confidence above %+.3f, n = %d; a loss of %.3f is allowed.",
	[name, suite.difference.value, suite.difference.lower_bound, suite.n, margin(name)],
) if {
	some name in others
	not name in kept
	not name in few
	not name in worse
	suite := input.suites[name]
	suite.difference.lower_bound < 1
}

doubts contains sprintf(
	"%s has %d independent items only; %d are needed for its interval to mean anything.",
	[name, input.suites[name].clusters, min_clusters],
) if {
	some name in few
}

doubts contains sprintf("The suite %s was not measured.", [name]) if {
	some name in others
	not input.suites[name].difference.lower_bound
}

# What is required was measured at all.

required := object.get(input.settings, "required_suites", [])

absent contains name if {
	some name in required
	not input.suites[name]
}

all_measured if count(absent) == 0

doubts contains sprintf("The suite %s is required and was not measured.", [name]) if some name in absent

# 3. The evaluation measures what was learned, not what was read.

shown contains sprintf(
	"%d of %d evaluation items occur in training text (%d are long enough to tell).",
	[input.contamination.hits, input.contamination.items, input.contamination.testable],
) if {
	input.contamination.testable > 0
	input.contamination.share <= input.settings.max_contamination
}

failures contains sprintf(
	"%d of %d evaluation items occur in training text; at most a share of %.3f may.",
	[input.contamination.hits, input.contamination.items, input.settings.max_contamination],
) if {
	input.contamination.share > input.settings.max_contamination
}

doubts contains "Nothing says whether evaluation items occur in training text: none is long enough to tell." if {
	not input.contamination.testable > 0
}

# 4. Training was healthy.

shown contains "Training reported no failure." if count(input.health.failures) == 0

failures contains sprintf("Training failed a health check: %s", [problem]) if some problem in input.health.failures

# 5. The candidate can be followed back to its documents.

shown contains "The candidate's origin is complete: documents, base model, run and code." if {
	input.provenance.complete == true
	count(input.provenance.missing) == 0
}

failures contains sprintf("The candidate's origin is incomplete: %s.", [missing]) if some missing in input.provenance.missing

failures contains "The candidate's origin is incomplete." if not input.provenance.complete

# 6. There is something to release.

shown contains "Candidate and base are different checkpoints." if input.candidate != input.base

failures contains "Candidate and base are the same checkpoint." if input.candidate == input.base

# 7. What may rise along with the scores did not rise beyond its margin: non-inferiority again, on the one-sided bound.

limits := object.get(input.settings, "side_effect_margins", {})

effects_within contains name if {
	some name, limit in limits
	input.side_effects[name].upper_bound <= limit
}

effects_beyond contains name if {
	some name, limit in limits
	input.side_effects[name].low > limit
}

effects_kept if count(effects_within) == count(limits)

noted contains sprintf(
	"%s rose by %+.3f, with 95%% confidence by less than %+.3f; %.3f is allowed.",
	[name, effect.value, effect.upper_bound, limits[name]],
) if {
	some name in effects_within
	effect := input.side_effects[name]
}

failures contains sprintf(
	"%s rose by %+.3f, interval %+.3f to %+.3f, n = %d; %.3f is allowed.",
	[name, effect.value, effect.low, effect.high, effect.n, limits[name]],
) if {
	some name in effects_beyond
	effect := input.side_effects[name]
}

doubts contains sprintf(
	"A rise of %s cannot be excluded: %+.3f, with 95%% confidence below %+.3f, n = %d; %.3f is allowed.",
	[name, effect.value, effect.upper_bound, effect.n, limits[name]],
) if {
	some name, _ in limits
	not name in effects_within
	not name in effects_beyond
	effect := input.side_effects[name]
}

doubts contains sprintf("The side effect %s has a margin and was not measured.", [name]) if {
	some name, _ in limits
	not input.side_effects[name]
}

# 8. A judge, where there was one, says what the rules say wherever both can tell.

used_judge := object.get(input, "judge", null)

judge_trusted if used_judge == null

judge_trusted if used_judge.agreement.low >= input.settings.min_judge_agreement

noted contains sprintf(
	"The judge %s agrees with the rules on %.3f of %d answers, with 95%% confidence on more than %.3f.",
	[used_judge.model, used_judge.agreement.rate, used_judge.agreement.n, used_judge.agreement.low],
) if {
	used_judge != null
	judge_trusted
}

doubts contains sprintf(
	"The judge %s agrees with the rules on %.3f of %d answers, which may be as few as %.3f; %.3f is required.",
	[used_judge.model, used_judge.agreement.rate, used_judge.agreement.n, used_judge.agreement.low, input.settings.min_judge_agreement],
) if {
	used_judge != null
	not judge_trusted
}
