"""When a health signal raises an alarm. Each has its thresholds and its action in `spice.config.HealthConfig`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import NamedTuple

from scipy import stats

from spice.config import HealthConfig
from spice.selfplay.health import MIN_EXPECTED
from spice.selfplay.types import LETTERS

Signals = Mapping[str, float]
# Audits and letters are few per iteration; their counts are pooled over this many windows before they are judged.
_POOLED_WINDOWS = 2
_MIN_POOLED = 20
# A share of so many tasks is within 0.15 of the truth; of fewer, earlier iterations are counted too.
_ENOUGH_TASKS = 40


class Alarm(NamedTuple):
    """What looks wrong: the alarm's name, as in `HealthActions`, and a sentence with the figure and its limit."""

    name: str
    sentence: str


def alarms(signals: Signals, history: Sequence[Signals], limits: HealthConfig | None = None) -> list[Alarm]:
    """Name what looks wrong in an iteration.

    Args:
        signals: of the iteration, from `spice.selfplay.health.assess` and from the update.
        history: signals of the iterations before it, oldest first. Alarms that
            compare with the start of the run wait until the start is over.
        limits: the thresholds, if not the usual ones.

    Returns:
        Empty if all is well.
    """
    limits = limits or HealthConfig()
    found = [*_rates(signals, limits), *_update(signals, limits), *_labels(signals, history, limits)]
    found += [*_letters(signals, history, limits), *_tasks(signals, history, limits)]
    if len(history) >= limits.window:
        found += _changes(signals, history, limits)
    return found


def warnings(signals: Signals, history: Sequence[Signals], limits: HealthConfig | None = None) -> list[str]:
    """The sentences of `alarms`."""
    return [alarm.sentence for alarm in alarms(signals, history, limits)]


def _rates(signals: Signals, limits: HealthConfig) -> list[Alarm]:
    found = []
    if (rate := signals.get("valid_rate", 1.0)) < limits.valid_rate:
        text = f"valid rate {rate:.2f} is below {limits.valid_rate}: most attempts of the Challenger are lost"
        found.append(Alarm("valid_rate", text))
    for role in ("challenger", "reasoner"):
        if (share := signals.get(f"{role}_truncated_share", 0.0)) > limits.truncated_share:
            text = f"{share:.0%} of the {role}'s outputs are cut off (limit {limits.truncated_share:.0%})"
            found.append(Alarm("length", text))
    if (share := signals.get("unanswered_share", 0.0)) > limits.unanswered_share:
        text = f"{share:.0%} of the answers have no box (limit {limits.unanswered_share:.0%})"
        found.append(Alarm("unanswered", text))
    return found


def _update(signals: Signals, limits: HealthConfig) -> list[Alarm]:
    found = []
    if (ess := signals.get("importance_ess", 1.0)) < limits.importance_ess:
        text = f"the update's effective sample size is {ess:.0%} of its tokens (limit {limits.importance_ess:.0%})"
        found.append(Alarm("mismatch", f"{text}: engine and learner disagree about the policy"))
    if (gap := signals.get("logprob_gap_mean", 0.0)) > limits.logprob_gap:
        text = f"engine and learner differ by {gap:.3f} nats a token (limit {limits.logprob_gap})"
        found.append(Alarm("mismatch", text))
    share = signals.get("challenger_update_share", 0.5)
    if max(share, 1.0 - share) > limits.role_share:
        role = "challenger" if share > 0.5 else "reasoner"
        text = f"the {role} has {max(share, 1.0 - share):.0%} of the update's weight (limit {limits.role_share:.0%})"
        found.append(Alarm("domination", text))
    return found


def _labels(signals: Signals, history: Sequence[Signals], limits: HealthConfig) -> list[Alarm]:
    """Gold answers that are wrong, and options that give them away; counts of the recent past together."""
    found = []
    recent = _recent(signals, history, limits)
    right, n = _pooled("oracle", _latest("oracle_n", signals, history, limits))
    if n >= _MIN_POOLED and right / n < limits.label_accuracy:
        limit = f"(limit {limits.label_accuracy:.0%}, n = {n:.0f})"
        text = f"the oracle finds {right / n:.0%} of the gold answers true {limit}"
        found.append(Alarm("label_noise", text))
    right, n = _pooled("audit", recent)
    start_right, start_n = _pooled("audit", history[: _POOLED_WINDOWS * limits.window])
    if n >= _MIN_POOLED and right / n < limits.audit_agree:
        text = f"the audit confirms {right / n:.0%} of the gold answers (limit {limits.audit_agree:.0%}, n = {n:.0f})"
        found.append(Alarm("label_noise", text))
    elif min(n, start_n) >= _MIN_POOLED and start_right / start_n - right / n > limits.audit_drop:
        text = f"the audit confirms {right / n:.0%} of the gold answers, at the start {start_right / start_n:.0%}"
        found.append(Alarm("label_noise", f"{text} (a fall of {limits.audit_drop:.0%} is the limit)"))
    right, n = _pooled("choices_only", recent)
    if n >= _MIN_POOLED:
        chance = signals.get("choices_only_chance", 0.25)
        p = float(stats.binomtest(round(right), round(n), chance, "greater").pvalue)
        if p < limits.choices_p:
            text = f"{right / n:.0%} of the answers are found without the question (chance {chance:.0%}, p = {p:.1e})"
            found.append(Alarm("choices_only", text))
    return found


def _letters(signals: Signals, history: Sequence[Signals], limits: HealthConfig) -> list[Alarm]:
    """One place among the options that is gold, or answered, more often than chance allows; counts as for audits."""
    found = []
    recent = _recent(signals, history, limits)
    for who in ("gold", "answered"):
        names = [name for letter in LETTERS.lower() if (name := f"{who}_letter_{letter}") in signals]
        counts = [sum(one.get(name, 0.0) for one in recent) for name in names]
        if not counts or sum(counts) < MIN_EXPECTED * len(counts):
            continue
        p, top = float(stats.chisquare(counts).pvalue), max(counts) / sum(counts)
        if p < limits.letter_p and top > limits.letter_share:
            letter = LETTERS[counts.index(max(counts))]
            text = f"{top:.0%} of the {who} letters are {letter} (limit {limits.letter_share:.0%}, p = {p:.1e})"
            found.append(Alarm("letters", text))
    return found


def _tasks(signals: Signals, history: Sequence[Signals], limits: HealthConfig) -> list[Alarm]:
    ceilings = (
        (
            "degenerate_groups",
            "zero_variance_share",
            limits.zero_variance_share,
            "of the tasks are solved always or never",
        ),
        ("leak", "leak_share", limits.leak_share, "of the questions contain their answer"),
        ("repetition", "near_duplicate_share", limits.near_duplicate_share, "of the questions repeat earlier ones"),
        ("one_kind", "dominant_answer_share", limits.dominant_share, "of the tasks have one and the same answer"),
        ("one_kind", "dominant_question_share", limits.dominant_share, "of the questions are of one kind"),
        ("one_kind", "dominant_kind_share", limits.dominant_share, "of the tasks are of one kind"),
        ("repetition", "self_bleu", limits.self_bleu, "is the likeness (BLEU) of the iteration's questions"),
        ("copying", "copied_coverage", limits.copied_coverage, "of the questions' words are copied in runs"),
    )
    recent = _latest("tasks", signals, history, limits)
    if not signals.get("tasks") or sum(one.get("tasks", 0.0) for one in recent) < limits.min_tasks:
        return []
    found = [
        Alarm(name, f"{share:.0%} {what} (limit {limit:.0%})")
        for name, signal, limit, what in ceilings
        if (share := _weighted(signal, recent)) > limit
    ]
    if (run := _weighted("copied_run_mean", recent)) > limits.copied_run:
        text = f"questions copy {run:.1f} words in a row from their document (limit {limits.copied_run})"
        found.append(Alarm("copying", text))
    return found


def _changes(signals: Signals, history: Sequence[Signals], limits: HealthConfig) -> list[Alarm]:
    start, recent = history[: limits.window], history[-limits.window :]
    found = []
    drop, rise = _rise("valid_rate", signals, recent), _rise("challenger_entropy", signals, recent)
    if drop is not None and rise is not None and drop < -limits.valid_rate_drop and rise > 0:
        text = f"valid rate fell by {-drop:.2f} while the challenger's entropy rose: it unlearns the form of a task"
        found.append(Alarm("death_spiral", text))
    for role in ("challenger", "reasoner"):
        entropy, length = (_ratio(f"{role}_{name}", signals, start) for name in ("entropy", "tokens"))
        # Of the whole output: an output that grows by symbols that are certain has less entropy a token, and no less.
        left = entropy * length if entropy is not None and length is not None else None
        if left is not None and left < limits.entropy_share:
            text = f"the entropy of the {role}'s outputs fell to {left:.0%} of its start"
            found.append(Alarm("entropy_collapse", f"{text} (limit {limits.entropy_share:.0%})"))
        if length is not None and not 1 / limits.length_factor <= length <= limits.length_factor:
            found.append(Alarm("length", f"the {role}'s outputs are {length:.2f} times as long as at the start"))
    # Not the ratio: longer questions compress better, too.
    content = _ratio("compressed_bytes", signals, start)
    if content is not None and content < 1 / limits.compression_factor:
        text = f"a question compresses to {content:.0%} of the bytes that it had at the start: they grow alike"
        found.append(Alarm("repetition", text))
    return found


def _recent(signals: Signals, history: Sequence[Signals], limits: HealthConfig) -> list[Signals]:
    """The last iterations, over which counts are added up."""
    return [*history[-_POOLED_WINDOWS * limits.window + 1 :], signals]


def _latest(count: str, signals: Signals, history: Sequence[Signals], limits: HealthConfig) -> list[Signals]:
    """The latest iterations that have enough tasks together by this count, at most a window."""
    chosen: list[Signals] = []
    tasks = 0.0
    for one in [signals, *reversed(history[-limits.window :])][: limits.window]:
        if tasks >= _ENOUGH_TASKS:
            break
        chosen.append(one)
        tasks += one.get(count, 0.0)
    return chosen


def _weighted(name: str, iterations: Sequence[Signals]) -> float:
    """Mean of a signal over the tasks of some iterations, 0 if there are none."""
    found = [(one[name], one["tasks"]) for one in iterations if name in one]
    return sum(value * tasks for value, tasks in found) / sum(tasks for _, tasks in found) if found else 0.0


def _pooled(name: str, iterations: Sequence[Signals]) -> tuple[float, float]:
    """How many of how many, over several iterations."""
    return (
        sum(one.get(f"{name}_right", 0.0) for one in iterations),
        sum(one.get(f"{name}_n", 0.0) for one in iterations),
    )


def _rise(name: str, signals: Signals, before: Sequence[Signals]) -> float | None:
    """The signal now, less its mean before; `None` if either is missing."""
    values = [earlier[name] for earlier in before if name in earlier]
    return signals[name] - fmean(values) if values and name in signals else None


def _ratio(name: str, signals: Signals, before: Sequence[Signals]) -> float | None:
    """The signal now, over its mean before; `None` if either is missing or the mean is 0."""
    values = [earlier[name] for earlier in before if name in earlier]
    return signals[name] / fmean(values) if any(values) and name in signals else None
