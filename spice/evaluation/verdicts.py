"""What a difference means: better, not worse, worse, or inconclusive.

The rule, in this order:

1. inconclusive, if there are fewer than `MIN_CLUSTERS` independent clusters:
   no interval from so few can be trusted.
2. better, if the interval lies above the required improvement (never less than
   0) and a paired test rejects "no difference" as well: the exact McNemar test,
   or, where items share clusters, a sign-flip test. On the primary suite, named
   in advance, the test stands alone; on the others Holm's adjustment keeps the
   chance of any false "better" at 5%.
3. worse, if the interval lies below 0, however small the loss.
4. not worse, if the one-sided lower bound lies above minus the margin.
5. inconclusive otherwise. Inconclusive is never a pass.

"Not worse" needs no adjustment: the gate asks it of every suite at once, and a
candidate that is worse on one has at most a 5% chance to pass there, however
many others there are (an intersection-union test, Berger 1982).
"""

from __future__ import annotations

from typing import Literal

from spice.evaluation.statistics import ALPHA, Difference, sample_size

Verdict = Literal["better", "not_worse", "worse", "inconclusive"]
MIN_CLUSTERS = 10


def judge(
    difference: Difference, margin: float, min_improvement: float = 0.0, p_value: float | None = None
) -> tuple[Verdict, str]:
    """Apply the rule.

    Args:
        difference: what was measured.
        margin: largest loss that counts as not worse, 0 or more.
        min_improvement: what "better" must exceed; below 0 counts as 0.
        p_value: of the paired test, adjusted for the other suites; the difference's own if `None`.

    Returns:
        The verdict and one sentence that says why.
    """
    low, high, bound = difference.interval.low, difference.interval.high, difference.lower_bound
    needed = max(0.0, min_improvement)
    p_value = difference.p_value if p_value is None else p_value
    if difference.clusters < MIN_CLUSTERS:
        return "inconclusive", (
            f"{difference.clusters} independent clusters are too few for an interval; {MIN_CLUSTERS} are needed"
        )
    if low > needed and p_value < ALPHA:
        return "better", f"the interval's lower bound {low:+.3f} is above {needed:+.3f}"
    if high < 0:
        return "worse", f"the interval's upper bound {high:+.3f} is below 0"
    if bound > -margin:
        return "not_worse", f"the one-sided lower bound {bound:+.3f} is above the margin {-margin:+.3f}"
    return "inconclusive", (
        f"the one-sided lower bound {bound:+.3f} is not above the margin {-margin:+.3f}{_advice(difference, margin)}"
    )


def _advice(difference: Difference, margin: float) -> str:
    """How many items would settle it, if the models are in truth equal and disagree as often as seen."""
    if margin <= 0:
        return ""
    share = max(difference.discordant, 1) / difference.n
    needed = sample_size(margin, share)
    return f"; if the models are equal, about {needed} items would show it" if needed > difference.n else ""
