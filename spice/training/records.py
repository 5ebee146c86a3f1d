"""What an iteration leaves in the store: its metrics, and every task that was ever posed.

`runs/<run>/iterations/<n>.json` and `runs/<run>/tasks/<n>.parquet`. An
iteration that is played again after a crash writes the same objects again.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from statistics import fmean
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from spice.config import HealthConfig
from spice.errors import TrainingError
from spice.selfplay import alarms, health
from spice.selfplay.alarms import Alarm
from spice.selfplay.answers import choose
from spice.selfplay.archive import QuestionArchive
from spice.store.base import ObjectStore
from spice.training.played import Outcome, Played
from spice.training.speed import speed
from spice.training.telemetry import Sink

_SCHEMA = pa.schema(
    [
        ("iteration", pa.int64()),
        ("document", pa.string()),
        ("source", pa.string()),
        ("valid", pa.bool_()),
        ("reason", pa.string()),
        ("raw", pa.string()),
        ("format", pa.string()),
        ("question", pa.string()),
        ("answer", pa.string()),
        ("answer_type", pa.string()),
        ("options", pa.list_(pa.string())),
        ("evidence", pa.list_(pa.string())),
        ("reward", pa.float64()),
        ("pass_rate", pa.float64()),
        ("responses", pa.list_(pa.string())),
        ("extracted", pa.list_(pa.string())),
        ("correct", pa.list_(pa.bool_())),
        ("trained", pa.bool_()),
        ("audit_answer", pa.string()),
        ("audit_agrees", pa.bool_()),
        ("program", pa.string()),
        ("oracle_agrees", pa.bool_()),
        ("oracle_correct", pa.list_(pa.bool_())),
        ("grounded", pa.bool_()),
        ("standalone", pa.bool_()),
        ("unleaked", pa.bool_()),
    ]
)


class Recorder:
    """Writes one run's iterations, and remembers what the health signals compare with."""

    def __init__(
        self, store: ObjectStore, run: str, limits: HealthConfig | None = None, sink: Sink | None = None
    ) -> None:
        """Begin with an empty memory.

        Args:
            store: where to.
            run: the run's name.
            limits: when a signal raises an alarm.
            sink: gets a copy of the metrics.
        """
        self._store = store
        self._run = run
        self._limits = limits or HealthConfig()
        self._sink = sink
        self.raised: list[list[Alarm]] = []
        self._archive = QuestionArchive()
        self._history: list[dict[str, float]] = []

    def recall(self, iterations: int) -> None:
        """Take up the memory of the first `iterations`, after a resume.

        Raises:
            TrainingError: their records are not as they were written.
        """
        for n in range(1, iterations + 1):
            key = self._key("iterations", n, "json")
            try:
                found = json.loads(self._store.get(key))
                signals = found["health"]
                self.raised.append([Alarm(name, "") for name in found.get("alarms", [])])
                self._history.append({name: value for name, value in signals.items() if value is not None})
                key = self._key("tasks", n, "parquet")
                table = pq.read_table(
                    io.BytesIO(self._store.get(key)), columns=["question", "valid"], use_threads=False
                )
            except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
                raise TrainingError(
                    f"{key} in {self._store.url} is damaged, so the run cannot go on. Restore it from a backup, "
                    "or start a new run."
                ) from error
            self._archive.add([row["question"] for row in table.to_pylist() if row["valid"]])

    def write(self, outcome: Outcome, ranks: int = 1) -> dict[str, Any]:
        """Store an iteration's tasks, then its metrics; returns the metrics. `ranks` have played it."""
        signals = signals_of(outcome, self._archive)
        raised = alarms.alarms(signals, self._history, self._limits)
        found = metrics(outcome, signals, raised, ranks)
        self._history.append(signals)
        self.raised.append(raised)
        buffer = io.BytesIO()
        rows = [_row(outcome.iteration, one) for one in outcome.played]
        pq.write_table(pa.Table.from_pylist(rows, schema=_SCHEMA), buffer)
        self._store.put(self._key("tasks", outcome.iteration, "parquet"), buffer.getvalue())
        text = json.dumps(found, sort_keys=True, allow_nan=False)
        self._store.put(self._key("iterations", outcome.iteration, "json"), text.encode())
        if self._sink:
            self._sink.log(outcome.iteration, found)
        return found

    def finish(self, iterations: int) -> None:
        """Concatenate all metrics into `metrics.jsonl`, and close the sink."""
        if self._sink:
            self._sink.close()
        lines = [self._store.get(self._key("iterations", n, "json")) for n in range(1, iterations + 1)]
        self._store.put(f"runs/{self._run}/metrics.jsonl", b"".join(line + b"\n" for line in lines))

    def _key(self, kind: str, iteration: int, ending: str) -> str:
        return _key(self._run, kind, iteration, ending)


def tasks_key(run: str, iteration: int) -> str:
    """Where the tasks of an iteration lie."""
    return _key(run, "tasks", iteration, "parquet")


def signals_of(outcome: Outcome, archive: QuestionArchive) -> dict[str, float]:
    """An iteration's health signals, see `spice.selfplay.health`; its questions are entered in the archive."""
    return health.assess([_health_attempt(one) for one in outcome.played], archive) | _update_signals(outcome)


def metrics(outcome: Outcome, signals: dict[str, float], raised: Sequence[Alarm], ranks: int = 1) -> dict[str, Any]:
    """An iteration's figures by role. Rates are shares in [0, 1], entropies nats per token, `None` where undefined."""
    played = outcome.played
    valid = [one for one in played if one.answers]
    trained = [one for one in valid if one.trained]
    audited = [one.audit.correct[0] for one in played if one.audit]
    graded = [one.oracle for one in played if one.oracle]
    update = outcome.update
    return {
        "iteration": outcome.iteration,
        "challenger": {
            "reward_mean": _mean([one.reward for one in played]),
            "valid_rate": _mean([one.answers is not None for one in played]),
            "attempts": len(played),
            "entropy": signals.get("challenger_entropy"),
            "tokens_mean": signals.get("challenger_tokens"),
            "truncated": signals.get("challenger_truncated_share"),
        },
        "reasoner": {
            "reward_mean": _mean([reward for one in trained for reward in one.answer_rewards]),
            "pass_rate": _mean([right for one in valid if one.answers for right in one.answers.correct]),
            "entropy": signals.get("reasoner_entropy"),
            "tokens_mean": signals.get("reasoner_tokens"),
            "truncated": signals.get("reasoner_truncated_share"),
        },
        "tasks": {
            "valid": len(valid),
            "skipped_documents": outcome.skipped_documents,
            "zero_variance_share": signals.get("zero_variance_share"),
            "all_wrong_share": signals.get("all_wrong_share"),
            "all_right_share": signals.get("all_right_share"),
        },
        "audit": {"n": len(audited), "agree_share": _mean(audited)},
        "oracle": {
            "n": len(graded),
            "label_accuracy": _mean([grade.gold_right for grade in graded]),
            "pass_rate": _mean([right for grade in graded for right in grade.correct]),
        },
        "generated_tokens": _generated(outcome),
        "health": signals,
        "warnings": [alarm.sentence for alarm in raised],
        "alarms": sorted({alarm.name for alarm in raised}),
        "learner": {
            "loss": update.loss,
            "grad_norm": update.grad_norm,
            "logprob_gap_mean": update.logprob_gap_mean,
            "logprob_gap_max": update.logprob_gap_max,
            "clipped_share": update.clipped_share,
            "importance_ess": update.importance_ess,
            "mismatch_kl": update.mismatch_kl,
            "role_norms": {role: update.role_norms.get(role) for role in ("challenger", "reasoner")},
            "tokens": update.tokens,
            "trained_tokens": update.trained_tokens,
        },
        "speed": speed(outcome, ranks),
        "seconds": {**outcome.seconds, "total": sum(outcome.seconds.values())},
    }


def _update_signals(outcome: Outcome) -> dict[str, float]:
    """What the update says of health: nothing if there was none."""
    update = outcome.update
    if not update.tokens:
        return {}
    signals = {
        "importance_ess": update.importance_ess,
        "logprob_gap_mean": update.logprob_gap_mean,
        "logprob_gap_max": update.logprob_gap_max,
        "grad_norm": update.grad_norm,
    }
    if outcome.challenger_share is not None:
        signals["challenger_update_share"] = outcome.challenger_share
    return signals


def _health_attempt(one: Played) -> health.Attempt:
    attempt = one.attempt
    answers = (
        tuple(
            health.Answer(
                verdict.correct,
                verdict.extracted,
                len(c.tokens),
                c.finish == "length",
                float(c.entropies.mean()),
                choose(verdict.extracted or "", shown.options) if shown.options else None,
            )
            for c, verdict, shown in zip(one.answers.completions, one.answers.verdicts, one.answers.shown, strict=True)
        )
        if one.answers
        else ()
    )
    return health.Attempt(
        document=attempt.document.text,
        task=attempt.task,
        unleaked=attempt.checks.get("unleaked", True),
        tokens=len(attempt.completion.tokens) if attempt.completion else 0,
        truncated=attempt.completion is not None and attempt.completion.finish == "length",
        entropy=float(attempt.completion.entropies.mean()) if attempt.completion else 0.0,
        answers=answers,
        kind=attempt.kind,
        audited=one.audit.correct[0] if one.audit else None,
        guessed=one.guess.correct[0] if one.guess else None,
        gold_right=one.oracle.gold_right if one.oracle else None,
    )


def _row(iteration: int, one: Played) -> dict[str, Any]:
    attempt, answers = one.attempt, one.answers
    row: dict[str, Any] = {
        "iteration": iteration,
        "document": attempt.document.id,
        "source": attempt.document.source,
        "valid": attempt.task is not None,
        "reason": attempt.reason,
        "raw": attempt.completion.text if attempt.completion else "",
        "reward": one.reward,
        "trained": one.trained,
        **{name: attempt.checks.get(name) for name in ("grounded", "standalone", "unleaked")},
    }
    if attempt.task:
        row |= {
            "format": attempt.task.format,
            "question": attempt.task.question,
            "answer": attempt.task.answer,
            "answer_type": attempt.task.answer_type,
            "options": list(attempt.task.options),
            "evidence": list(attempt.task.evidence),
        }
        if attempt.task.program:
            row["program"] = json.dumps(asdict(attempt.task.program), sort_keys=True)
    if answers:
        row |= {
            "pass_rate": fmean(answers.correct),
            "responses": [completion.text for completion in answers.completions],
            "extracted": [verdict.extracted for verdict in answers.verdicts],
            "correct": answers.correct,
        }
    if one.audit:
        row |= {"audit_answer": one.audit.verdicts[0].extracted, "audit_agrees": one.audit.correct[0]}
    if one.oracle:
        row |= {"oracle_agrees": one.oracle.gold_right, "oracle_correct": one.oracle.correct}
    return row


def _generated(outcome: Outcome) -> dict[str, int]:
    """Tokens generated by each role and for the gold audit; answers that equal tasks share count once."""
    answers = {one.answers.seed: one.answers for one in outcome.played if one.answers}
    audits = [one.audit for one in outcome.played if one.audit]
    return {
        "challenger": sum(len(c.tokens) for one in outcome.played if (c := one.attempt.completion)),
        "reasoner": sum(len(c.tokens) for group in answers.values() for c in group.completions),
        "audit": sum(len(c.tokens) for group in audits for c in group.completions),
    }


def _key(run: str, kind: str, iteration: int, ending: str) -> str:
    return f"runs/{run}/{kind}/{iteration:06d}.{ending}"


def _mean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None
