"""From a run's records to metrics: which recorded figure becomes which metric, in which unit."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from spice.monitoring.iterations import Figures
from spice.monitoring.metrics import Family, Sample

ARM = ("corpus", "recipe", "seed")

_SIGNAL = re.compile(r"[a-z][a-z0-9_]{0,63}")
_MOST_SIGNALS = 64  # of those without a metric of their own; more would be no health signals


@dataclass(frozen=True)
class Figure:
    """One recorded figure.

    Attributes:
        path: where iterations record it.
        name: of the metric, without the prefix that says over which iterations.
        help: what it is, in a sentence without a full stop.
        labels: besides the run's arm.
    """

    path: str
    name: str
    help: str
    labels: dict[str, str] = field(default_factory=dict)


def _by(label: str, values: Sequence[str], path: str, name: str, text: str) -> list[Figure]:
    return [Figure(path.format(value), name, text, {label: value}) for value in values]


_ROLES = ("challenger", "reasoner")
FIGURES: tuple[Figure, ...] = (
    *_by("role", _ROLES, "{}.reward_mean", "reward", "Mean reward of a role"),
    *_by("role", _ROLES, "{}.entropy", "entropy_nats", "Mean entropy of a role's policy, per token"),
    *_by("role", _ROLES, "{}.tokens_mean", "output_tokens", "Mean length of a role's outputs"),
    *_by("role", _ROLES, "{}.truncated", "truncated_ratio", "Share of a role's outputs that were cut off"),
    Figure("challenger.valid_rate", "valid_ratio", "Share of Challenger attempts that are valid tasks"),
    Figure("reasoner.pass_rate", "pass_ratio", "Share of the Reasoner's answers that equal the gold answer"),
    Figure("health.unanswered_share", "unanswered_ratio", "Share of answers without a box"),
    Figure("tasks.valid", "valid_tasks", "Valid tasks of an iteration"),
    Figure(
        "tasks.skipped_documents", "skipped_documents", "Documents of an iteration for which no valid task was found"
    ),
    Figure("tasks.all_wrong_share", "tasks_all_wrong_ratio", "Share of tasks that no answer of the group solves"),
    Figure("tasks.all_right_share", "tasks_all_right_ratio", "Share of tasks that every answer of the group solves"),
    Figure("tasks.zero_variance_share", "tasks_zero_variance_ratio", "Share of tasks that are solved always or never"),
    Figure("audit.n", "audited_tasks", "Tasks that the policy answered with the document in sight"),
    Figure(
        "audit.agree_share", "audit_agreement_ratio", "Share of audited tasks whose gold answer the policy confirms"
    ),
    Figure(
        "oracle.label_accuracy", "oracle_agreement_ratio", "Share of graded tasks whose gold answer is the true one"
    ),
    Figure("health.leak_share", "questions_leaked_ratio", "Share of questions that contain their answer"),
    Figure(
        "health.near_duplicate_share", "questions_near_duplicate_ratio", "Share of questions that repeat earlier ones"
    ),
    Figure("health.dominant_question_share", "questions_dominant_ratio", "Share of questions of the commonest kind"),
    Figure("health.dominant_answer_share", "answers_dominant_ratio", "Share of tasks with the commonest answer"),
    Figure(
        "health.distinct_2",
        "questions_distinct_bigrams_ratio",
        "Share of word bigrams of the questions that are distinct",
    ),
    Figure(
        "health.compression_ratio", "questions_compression_ratio", "Bytes of all questions over their bytes compressed"
    ),
    Figure(
        "health.copied_run_mean", "questions_copied_words", "Words that a question copies in a row, mean over questions"
    ),
    Figure(
        "health.copied_run_max",
        "questions_copied_words_max",
        "Words that a question copies in a row, most of any question",
    ),
    Figure(
        "health.extractive_coverage",
        "questions_extractive_coverage_ratio",
        "Share of a question's words copied from the document",
    ),
    Figure(
        "health.extractive_density",
        "questions_extractive_density_words",
        "Mean length of the copied run that a word lies in",
    ),
    Figure(
        "health.document_only_share",
        "tasks_document_only_ratio",
        "Share of audited tasks solved with the document and never without",
    ),
    Figure("health.choices_only_accuracy", "choices_only_ratio", "Accuracy on the options alone, without the question"),
    Figure("health.choices_only_chance", "choices_only_chance_ratio", "What guessing among these options would give"),
    Figure("health.self_bleu", "questions_self_bleu_ratio", "Mean likeness (BLEU) of the questions to each other"),
    Figure("health.dominant_kind_share", "tasks_dominant_kind_ratio", "Share of tasks of the commonest kind"),
    Figure(
        "health.copied_coverage",
        "questions_copied_ratio",
        "Share of a question's words in copied runs of three or more",
    ),
    *_by(
        "letters",
        ("gold", "answered"),
        "health.{}_letter_p",
        "letter_pvalue",
        "P-value of even use of the options' letters",
    ),
    *_by(
        "letters",
        ("gold", "answered"),
        "health.{}_letter_top_share",
        "letter_dominant_ratio",
        "Share of the commonest letter",
    ),
    Figure("learner.loss", "loss", "Loss of the update"),
    Figure("learner.grad_norm", "gradient_norm", "Gradient norm before clipping"),
    *_by("role", _ROLES, "learner.role_norms.{}", "role_gradient_norm", "Norm of a role's own gradient"),
    Figure("learner.mismatch_kl", "mismatch_kl_nats", "Divergence of learner from engine in the update, per token"),
    Figure("speed.mfu", "flops_utilisation_ratio", "Share of the devices' peak that the update's operations are"),
    Figure("speed.padding_share", "padding_ratio", "Share of the learner's tokens that only fill up"),
    Figure("speed.engine_idle_share", "engine_idle_ratio", "Share of the time in which an engine does not generate"),
    Figure("speed.prompt_cached_share", "prompt_cached_ratio", "Share of the prompts' tokens that were in a cache"),
    Figure("speed.generated_tokens_per_second", "rollout_tokens_per_second", "Tokens generated a second"),
    Figure("speed.trained_tokens_per_second", "learner_tokens_per_second", "Tokens learned from a second"),
    Figure(
        "learner.logprob_gap_mean",
        "logprob_gap_nats",
        "Difference of engine and learner in log-probability per token, mean",
    ),
    Figure(
        "learner.logprob_gap_max",
        "logprob_gap_max_nats",
        "Difference of engine and learner in log-probability per token, largest",
    ),
    Figure("learner.clipped_share", "clipped_ratio", "Share of tokens at which the PPO clip acts"),
    Figure(
        "health.importance_ess",
        "effective_sample_ratio",
        "Effective sample size of the update's importance weights, as a share of its tokens",
    ),
    Figure(
        "health.challenger_update_share", "challenger_update_ratio", "The Challenger's share of the update's weight"
    ),
    Figure("warnings", "iteration_warnings", "Warnings that an iteration raised about itself"),
)

_PREFIXES = {
    "spice_": "in the last iteration",
    "spice_recent_": "mean over the most recent iterations",
    "spice_start_": "mean over the first iterations",
}
_OTHERS = {
    "spice_health_signal": "A health signal that has no metric of its own",
    "spice_recent_health_signal": "The same, mean over the most recent iterations",
    "spice_start_health_signal": "The same, mean over the first iterations",
}
# What is not exported under `spice_health_signal`: the roles' figures stand in iterations twice.
_TAKEN = {figure.path for figure in FIGURES} | {
    "health.tasks",
    "health.valid_rate",
    *(f"health.{role}_{what}" for role in _ROLES for what in ("entropy", "tokens", "truncated_share")),
    *(f"health.{kind}_share" for kind in ("all_wrong", "all_right", "zero_variance")),
    *(f"health.{name}" for name in ("logprob_gap_mean", "logprob_gap_max", "grad_norm")),
}


def families() -> Iterator[Family]:
    """Every metric of this module."""
    seen = set()
    for figure in FIGURES:
        if figure.name not in seen:
            seen.add(figure.name)
            for prefix, when in _PREFIXES.items():
                yield Family(f"{prefix}{figure.name}", f"{figure.help}, {when}.", (*ARM, *figure.labels))
    for name, text in _OTHERS.items():
        yield Family(name, f"{text}.", (*ARM, "signal"))
    yield Family("spice_iteration_alarm", "1 for each alarm that the last iteration raised.", (*ARM, "alarm"))


def samples(history: Sequence[Figures], window: int, arm: dict[str, str]) -> Iterator[Sample]:
    """The metrics of one run.

    Args:
        history: figures of its iterations, oldest first.
        window: iterations that make the start, and the recent past. Neither is exported before so many were played.
        arm: the run's labels.
    """
    if not history:
        return
    spans = {"spice_": history[-1:]}
    if len(history) >= window:
        spans |= {"spice_recent_": history[-window:], "spice_start_": history[:window]}
    for path in sorted(history[-1]):
        if path.startswith("alarms."):
            yield Sample("spice_iteration_alarm", 1, {**arm, "alarm": path.removeprefix("alarms.")})
    others = sorted({path for figures in history[-1:] for path in figures if _is_other(path)})[:_MOST_SIGNALS]
    for prefix, span in spans.items():
        for figure in FIGURES:
            yield from _mean(span, figure.path, f"{prefix}{figure.name}", {**arm, **figure.labels})
        for path in others:
            signal = path.removeprefix("health.")
            yield from _mean(span, path, f"{prefix}health_signal", {**arm, "signal": signal})


def _is_other(path: str) -> bool:
    group, _, name = path.partition(".")
    return group == "health" and path not in _TAKEN and _SIGNAL.fullmatch(name) is not None


def _mean(span: Sequence[Figures], path: str, name: str, labels: dict[str, str]) -> Iterator[Sample]:
    values = [figures[path] for figures in span if path in figures]
    if values:
        yield Sample(name, fmean(values), labels)
