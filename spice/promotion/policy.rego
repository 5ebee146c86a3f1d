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
}

# Gravest first. (The engine iterates over sets in order.)
reasons := array.concat([r | some r in failures], array.concat([r | some r in doubts], [r | some r in shown]))

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

kept contains name if {
	some name in others
	input.suites[name].difference.lower_bound >= 0 - input.settings.regression_margin
}

worse contains name if {
	some name in others
	input.suites[name].difference.lower_bound < 0 - input.settings.regression_margin
	input.suites[name].difference.high < 0
}

shown contains sprintf("No other suite lost more than %.3f (%d of %d).", [input.settings.regression_margin, count(kept), count(others)]) if {
	count(kept) == count(others)
}

failures contains sprintf(
	"Worse on %s: %+.3f, interval %+.3f to %+.3f, n = %d; a loss of %.3f is allowed.",
	[name, suite.difference.value, suite.difference.low, suite.difference.high, suite.n, input.settings.regression_margin],
) if {
	some name in worse
	suite := input.suites[name]
}

doubts contains sprintf(
	"A loss on %s cannot be excluded: %+.3f, with 95%% confidence above %+.3f, n = %d; a loss of %.3f is allowed.",
	[name, suite.difference.value, suite.difference.lower_bound, suite.n, input.settings.regression_margin],
) if {
	some name in others
	not name in kept
	not name in worse
	suite := input.suites[name]
	suite.difference.lower_bound < 1
}

doubts contains sprintf("The suite %s was not measured.", [name]) if {
	some name in others
	not input.suites[name].difference.lower_bound
}

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
