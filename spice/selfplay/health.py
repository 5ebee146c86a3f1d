"""How self-play fails, and the signals that show it, iteration by iteration.

A curve that rises is no proof of learning: a Challenger that asks one thing only
or gives its answers away makes the Reasoner's curve rise too. These signals are
computed from one iteration's records; whatever needs the weights (log-prob gaps,
gradient norms) is measured where the weights are.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import permutations
from operator import itemgetter
from statistics import fmean

from scipy import stats

from spice.selfplay.answers import normalise
from spice.selfplay.archive import QuestionArchive
from spice.selfplay.leaks import gives_away
from spice.selfplay.repetition import bleu
from spice.selfplay.similarity import compressed_bytes, compression_ratio, distinct_n, extraction, split_words
from spice.selfplay.types import LETTERS, Task

Signals = dict[str, float]

# Below this expected count per letter the chi-square distribution is no good approximation.
MIN_EXPECTED = 5
# 16 questions make 240 pairs, which cost a few milliseconds and estimate the mean well enough.
_SAMPLE = 16
_SUBJECT = re.compile(r"(?:\s[\"“'‘]?[A-Z0-9][\w.,'’-]*)+")


@dataclass(frozen=True)
class Answer:
    """One answer of the Reasoner, as far as health is concerned.

    Attributes:
        correct: the verifier's verdict.
        extracted: the answer found in the response, if any.
        tokens: length of the response.
        truncated: the response was cut off.
        entropy: mean over its tokens of the policy's entropy, in nats.
        place: of the option that it names, in the order in which it saw the options; `None` if it names none.
    """

    correct: bool
    extracted: str | None
    tokens: int
    truncated: bool
    entropy: float
    place: int | None = None


@dataclass(frozen=True)
class Attempt:
    """One Challenger attempt with the answers to it.

    Attributes:
        document: the text that the Challenger read.
        task: the task, or `None` if the attempt was invalid.
        unleaked: the question does not contain the answer; of no meaning if invalid.
        tokens: length of the output.
        truncated: the output was cut off.
        entropy: mean over its tokens of the policy's entropy, in nats.
        answers: the Reasoner's answers, empty if the attempt was invalid.
        kind: of task, where the recipe or the template has several.
        audited: whether the policy, shown the document, gave the gold answer; `None` if it was not asked.
        guessed: whether it gave the gold answer from the options alone; likewise.
        gold_right: whether an oracle finds the gold answer true; likewise.
    """

    document: str
    task: Task | None
    unleaked: bool
    tokens: int
    truncated: bool
    entropy: float
    answers: tuple[Answer, ...] = ()
    kind: str = ""
    audited: bool | None = None
    guessed: bool | None = None
    gold_right: bool | None = None


def assess(attempts: Sequence[Attempt], archive: QuestionArchive) -> Signals:
    """Compute the signals of one iteration, then enter its questions in the archive.

    Args:
        attempts: every attempt of the iteration that was answered or invalid.
        archive: the questions of earlier iterations.

    Returns:
        Signals by name. Those of which nothing can be said (no valid task, too
        few letters) are left out, so that no made-up number is drawn or alarmed.
    """
    posed = [(attempt, attempt.task) for attempt in attempts if attempt.task is not None]
    answers = [answer for attempt, _ in posed for answer in attempt.answers]
    signals: Signals = {"tasks": float(len(posed))}
    if attempts:
        signals |= {
            "valid_rate": len(posed) / len(attempts),
            "challenger_entropy": fmean(attempt.entropy for attempt in attempts),
            "challenger_tokens": fmean(attempt.tokens for attempt in attempts),
            "challenger_truncated_share": fmean(attempt.truncated for attempt in attempts),
        }
    if answers:
        signals |= {
            "reasoner_entropy": fmean(answer.entropy for answer in answers),
            "reasoner_tokens": fmean(answer.tokens for answer in answers),
            "reasoner_truncated_share": fmean(answer.truncated for answer in answers),
            "unanswered_share": fmean(answer.extracted is None for answer in answers),
        }
    if posed:
        signals |= _difficulty(posed) | _diversity(posed, archive) | _copying(posed)
        signals["leak_share"] = fmean(
            not attempt.unleaked or gives_away(task.question, task.answer) for attempt, task in posed
        )
        signals |= _letters(posed) | _labels(posed)
    archive.add([task.question for _, task in posed])
    return signals


def _difficulty(posed: Sequence[tuple[Attempt, Task]]) -> Signals:
    """Shares of tasks on which the group's answers are all wrong or all right, and so teach nothing by themselves."""
    groups = [[answer.correct for answer in attempt.answers] for attempt, _ in posed if attempt.answers]
    if not groups:
        return {}
    all_wrong = fmean(not any(group) for group in groups)
    all_right = fmean(all(group) for group in groups)
    return {"all_wrong_share": all_wrong, "all_right_share": all_right, "zero_variance_share": all_wrong + all_right}


def _diversity(posed: Sequence[tuple[Attempt, Task]], archive: QuestionArchive) -> Signals:
    questions = [task.question for _, task in posed]
    return {
        "distinct_2": distinct_n(questions, 2),
        "compression_ratio": compression_ratio(questions),
        "compressed_bytes": compressed_bytes(questions) / len(questions),
        "self_bleu": _self_bleu(_spread(posed)),
        "near_duplicate_share": fmean(archive.seen(question) for question in questions),
        "dominant_answer_share": _dominant_share(normalise(task.answer) for _, task in posed),
        "dominant_question_share": _dominant_share(_pattern(question) for question in questions),
    }


def _copying(posed: Sequence[tuple[Attempt, Task]]) -> Signals:
    extractions = [extraction(task.question, attempt.document) for attempt, task in posed]
    return {
        "copied_run_mean": fmean(extraction.longest for extraction in extractions),
        "copied_run_max": float(max(extraction.longest for extraction in extractions)),
        "extractive_coverage": fmean(extraction.coverage for extraction in extractions),
        "extractive_density": fmean(extraction.density for extraction in extractions),
        "copied_coverage": fmean(extraction.copied for extraction in extractions),
    }


def _labels(posed: Sequence[tuple[Attempt, Task]]) -> Signals:
    """Counts, so that those of several iterations can be added up, and what they say of this one."""
    signals: Signals = {}
    for name, field in (("audit", "audited"), ("choices_only", "guessed"), ("oracle", "gold_right")):
        flags = [flag for attempt, _ in posed if (flag := getattr(attempt, field)) is not None]
        if flags:
            signals |= {f"{name}_n": float(len(flags)), f"{name}_right": float(sum(flags))}
    if audited := [attempt for attempt, _ in posed if attempt.audited is not None]:
        # With the document it is solved, without it never: no gold answer to learn from, however right it is.
        signals["document_only_share"] = fmean(
            bool(one.audited) and not any(answer.correct for answer in one.answers) for one in audited
        )
    if guessed := [task for attempt, task in posed if attempt.guessed is not None]:
        signals["choices_only_chance"] = fmean(1 / len(task.options) for task in guessed)
        signals["choices_only_accuracy"] = signals["choices_only_right"] / signals["choices_only_n"]
    kinds = [attempt.kind for attempt, _ in posed if attempt.kind]
    if kinds:
        signals["dominant_kind_share"] = _dominant_share(kinds)
    return signals


def _self_bleu(questions: Sequence[str]) -> float:
    """Mean BLEU of all ordered pairs of questions, 0 for fewer than two."""
    words = [split_words(question) for question in questions]
    scores = [bleu(one, other) for one, other in permutations(words, 2)]
    return fmean(scores) if scores else 0.0


def _spread(posed: Sequence[tuple[Attempt, Task]]) -> list[str]:
    """Questions about as many documents as there are: those about one document are alike without any fault."""
    asked: Counter[str] = Counter()
    ranked = []
    for attempt, task in posed:
        ranked.append((asked[attempt.document], task.question))
        asked[attempt.document] += 1
    return [question for _, question in sorted(ranked, key=itemgetter(0))[:_SAMPLE]]


def _letters(posed: Sequence[tuple[Attempt, Task]]) -> Signals:
    """Counts of gold and of answered letters, and chi-square tests against even use, as p-values.

    One answer per task is counted, since answers to one task are not independent.
    Few tasks are not tested; their counts can be added up over iterations.
    """
    chosen = [(attempt, task) for attempt, task in posed if task.options]
    if not chosen:
        return {}
    n_options = Counter(len(task.options) for _, task in chosen).most_common(1)[0][0]
    chosen = [(attempt, task) for attempt, task in chosen if len(task.options) == n_options]
    gold = [task.options.index(task.answer) for _, task in chosen]
    given = [attempt.answers[0].place for attempt, _ in chosen if attempt.answers]
    signals: Signals = {}
    for name, letters in (("gold", gold), ("answered", [letter for letter in given if letter is not None])):
        counts = [letters.count(letter) for letter in range(n_options)]
        signals |= {f"{name}_letter_{LETTERS[i].lower()}": float(count) for i, count in enumerate(counts)}
        if len(letters) >= MIN_EXPECTED * n_options:
            signals[f"{name}_letter_p"] = float(stats.chisquare(counts).pvalue)
            signals[f"{name}_letter_top_share"] = max(counts) / len(letters)
    return signals


def _dominant_share(values: Iterable[Hashable]) -> float:
    counts = Counter(values)
    return max(counts.values()) / counts.total()


def _pattern(question: str) -> str:
    """Blank the names and numbers, so that one kind of question about many subjects counts as one."""
    return " ".join(_SUBJECT.sub(" _", question).casefold().split())
