"""When a health signal is worth a warning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean


@dataclass(frozen=True)
class Thresholds:
    """Limits of the signals of `spice.selfplay.health`. They warn; what may be released is the gate's business.

    Attributes:
        min_tasks: with fewer valid tasks in the iteration, shares of tasks raise no alarm.
        window: iterations at the start of a run that make its baseline, and before now that make its recent past.
        valid_rate: below it, most of the Challenger's work is lost.
        valid_rate_drop: below the recent past by more than this, while entropy rises, the Challenger unlearns the form.
        entropy_share: below this share of the baseline, a role's entropy has collapsed.
        zero_variance_share: above it, nearly no task teaches the Reasoner anything.
        leak_share: above it, questions give their answers away.
        near_duplicate_share: above it, self-play repeats itself.
        dominant_share: above it, one answer or one kind of question makes up the iteration.
        letter_p: below it, one letter is preferred beyond chance.
        truncated_share: above it, a role runs into its token limit.
        unanswered_share: above it, answers are lost because no box is found.
        length_factor: a role's mean length above the baseline times this, or below it divided by this.
        copied_run: above it (words, mean over questions), questions copy the document.
        compression_factor: above the baseline times this, questions grow alike.
    """

    min_tasks: int = 8
    window: int = 5
    valid_rate: float = 0.2
    valid_rate_drop: float = 0.2
    entropy_share: float = 0.25
    zero_variance_share: float = 0.8
    leak_share: float = 0.2
    near_duplicate_share: float = 0.5
    dominant_share: float = 0.5
    letter_p: float = 1e-3
    truncated_share: float = 0.1
    unanswered_share: float = 0.5
    length_factor: float = 3.0
    copied_run: float = 12.0
    compression_factor: float = 1.5


def warnings(
    signals: Mapping[str, float],
    history: Sequence[Mapping[str, float]],
    thresholds: Thresholds | None = None,
) -> list[str]:
    """Name what looks wrong in an iteration.

    Args:
        signals: of the iteration, from `spice.selfplay.health.assess`.
        history: signals of the iterations before it, oldest first. Alarms that
            compare with the start of the run wait until the start is over.
        thresholds: the limits, if not the usual ones.

    Returns:
        One sentence per alarm, with the figure and its limit; empty if all is well.
    """
    limits = thresholds or Thresholds()
    found = _rates(signals, limits)
    if signals.get("tasks", 0.0) >= limits.min_tasks:
        found += _tasks(signals, limits)
    if len(history) >= limits.window:
        found += _changes(signals, history, limits)
    return found


def _rates(signals: Mapping[str, float], limits: Thresholds) -> list[str]:
    found = []
    if (rate := signals.get("valid_rate", 1.0)) < limits.valid_rate:
        found.append(f"valid rate {rate:.2f} is below {limits.valid_rate}: most attempts of the Challenger are lost")
    for role in ("challenger", "reasoner"):
        if (share := signals.get(f"{role}_truncated_share", 0.0)) > limits.truncated_share:
            found.append(f"{share:.0%} of the {role}'s outputs are cut off (limit {limits.truncated_share:.0%})")
    if (share := signals.get("unanswered_share", 0.0)) > limits.unanswered_share:
        found.append(f"{share:.0%} of the answers have no box (limit {limits.unanswered_share:.0%})")
    return found


def _tasks(signals: Mapping[str, float], limits: Thresholds) -> list[str]:
    ceilings = (
        ("zero_variance_share", limits.zero_variance_share, "of the tasks are solved always or never"),
        ("leak_share", limits.leak_share, "of the questions contain their answer"),
        ("near_duplicate_share", limits.near_duplicate_share, "of the questions repeat earlier ones"),
        ("dominant_answer_share", limits.dominant_share, "of the tasks have one and the same answer"),
        ("dominant_question_share", limits.dominant_share, "of the questions are of one kind"),
    )
    found = [
        f"{signals[name]:.0%} {what} (limit {limit:.0%})"
        for name, limit, what in ceilings
        if signals.get(name, 0.0) > limit
    ]
    if (run := signals.get("copied_run_mean", 0.0)) > limits.copied_run:
        found.append(f"questions copy {run:.1f} words in a row from their document (limit {limits.copied_run})")
    for who in ("gold", "answered"):
        if (p := signals.get(f"{who}_letter_p", 1.0)) < limits.letter_p:
            found.append(f"{who} letters are uneven beyond chance (p = {p:.1e}, limit {limits.letter_p})")
    return found


def _changes(signals: Mapping[str, float], history: Sequence[Mapping[str, float]], limits: Thresholds) -> list[str]:
    start, recent = history[: limits.window], history[-limits.window :]
    found = []
    drop, rise = _rise("valid_rate", signals, recent), _rise("challenger_entropy", signals, recent)
    if drop is not None and rise is not None and drop < -limits.valid_rate_drop and rise > 0:
        found.append(
            f"valid rate fell by {-drop:.2f} while the challenger's entropy rose: it unlearns the form of a task"
        )
    for role in ("challenger", "reasoner"):
        entropy = _ratio(f"{role}_entropy", signals, start)
        if entropy is not None and entropy < limits.entropy_share:
            found.append(f"the {role}'s entropy fell to {entropy:.0%} of its start (limit {limits.entropy_share:.0%})")
        length = _ratio(f"{role}_tokens", signals, start)
        if length is not None and not 1 / limits.length_factor <= length <= limits.length_factor:
            found.append(f"the {role}'s outputs are {length:.2f} times as long as at the start")
    compression = _ratio("compression_ratio", signals, start)
    if compression is not None and compression > limits.compression_factor:
        found.append(f"questions compress {compression:.2f} times as well as at the start: they grow alike")
    return found


def _rise(name: str, signals: Mapping[str, float], before: Sequence[Mapping[str, float]]) -> float | None:
    """The signal now, less its mean before; `None` if either is missing."""
    values = [earlier[name] for earlier in before if name in earlier]
    return signals[name] - fmean(values) if values and name in signals else None


def _ratio(name: str, signals: Mapping[str, float], before: Sequence[Mapping[str, float]]) -> float | None:
    """The signal now, over its mean before; `None` if either is missing or the mean is 0."""
    values = [earlier[name] for earlier in before if name in earlier]
    return signals[name] / fmean(values) if any(values) and name in signals else None
