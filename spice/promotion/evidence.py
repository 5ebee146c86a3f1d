"""Gathers the facts about a candidate from the store, where every one of them can be checked again later."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from spice.config import PromotionConfig
from spice.errors import IntegrityError, NotFoundError, RefusedError, StoreError
from spice.promotion.facts import GateFacts, Health, Provenance, settings_of
from spice.store import artifacts
from spice.store.base import ObjectStore
from spice.store.canonical import is_digest
from spice.text.wording import wording

# What a trained checkpoint's manifest must say of its origin.
ORIGIN = ("base", "corpus", "run", "iteration", "code")


def gather(store: ObjectStore, evaluation: str, config: PromotionConfig) -> GateFacts:
    """The facts about the candidate of the report `evaluation`.

    Raises:
        RefusedError: the report is missing, was changed, or does not hold what a decision needs.
        StoreError: the store cannot be read.
    """
    try:
        report = artifacts.read_json(store, evaluation)
    except (NotFoundError, IntegrityError) as error:
        raise RefusedError(f"The evaluation cannot be judged: {error}") from error
    try:
        return GateFacts.model_validate(
            {
                **report,
                "evaluation": evaluation,
                "health": health(store, str(report.get("run")), config.min_label_accuracy),
                "provenance": provenance(store, report),
                "settings": settings_of(config),
            }
        )
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise RefusedError(f"{evaluation} is not an evaluation report that can be judged: {problems}.") from error


def health(store: ObjectStore, run: str, min_label_accuracy: float = 0.0) -> Health:
    """What the run's iterations say: warnings with their counts, and failures that stop a release.

    Warnings that differ in their figures only are one, with the figures of the last.
    A run that left no metrics cannot be judged healthy, which is a failure. So
    are gold answers that nobody confirmed, where a share of them must be.
    """
    warnings: list[str] = []
    failures: Counter[str] = Counter()
    iterations = 0
    confirmed: list[tuple[float, float]] = []
    for info in store.list(f"runs/{run}/iterations/"):
        iterations += 1
        try:
            metrics = json.loads(store.get(info.key))
            warnings += map(str, metrics["warnings"])
            learner = metrics["learner"]
            broken = [name for name in ("loss", "grad_norm") if not _finite(learner[name])]
            confirmed.append(_confirmed(metrics.get("health", {})))
        except (ValueError, KeyError, TypeError):
            failures[f"{info.key} is not readable"] += 1
        else:
            failures.update(f"{name} was not a finite number" for name in broken)
    if not iterations:
        failures["the run left no metrics"] += 1
    if min_label_accuracy > 0.0:
        right, n = (sum(column) for column in zip(*confirmed, strict=True)) if confirmed else (0.0, 0.0)
        if right < min_label_accuracy * n or not n:
            share = f"{right / n:.3f} of {n:.0f}" if n else "none"
            failures[f"{share} audited gold answers are confirmed; {min_label_accuracy:.3f} is required"] += 1
    return Health(warnings=_grouped(warnings, iterations), failures=_counted(failures, iterations))


def provenance(store: ObjectStore, report: dict[str, Any]) -> Provenance:
    """Whether candidate, base and corpus of a report are in the store, whole, and the candidate names its origin."""
    missing = []
    for role in ("candidate", "base", "corpus"):
        problem = _absent(store, str(report.get(role)))
        if problem:
            missing.append(f"{role}: {problem}")
    if not missing:
        manifest = artifacts.manifest(store, str(report["candidate"]))
        missing += [f"candidate: no {name} in its manifest" for name in ORIGIN if manifest.get(name) in (None, "")]
        missing += [
            f"candidate: its manifest names another {name}"
            for name in ("base", "corpus", "run")
            if manifest.get(name) not in (None, "", report.get(name))
        ]
    return Provenance(complete=not missing, missing=tuple(missing))


def _absent(store: ObjectStore, ref: str) -> str:
    """Why `ref` is not a whole artifact, or "". Sizes only: whoever loads it checks every byte."""
    if not is_digest(ref.rpartition("/")[2]):
        return f"{ref!r} is not a reference into the store"
    try:
        files = artifacts.manifest(store, ref)["files"]
        for name, entry in files.items():
            info = store.head(f"{ref}/{name}")
            if info is None or info.size != entry["size"]:
                return f"{ref}/{name} is missing or damaged"
    except (NotFoundError, IntegrityError) as error:
        return str(error)
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(f"{ref} has a manifest that is not one: {error}") from error
    return ""


def _confirmed(signals: dict[str, Any]) -> tuple[float, float]:
    """How many gold answers of an iteration are confirmed, of how many: by the oracle where there is one."""
    who = "oracle" if signals.get("oracle_n") else "audit"
    return float(signals.get(f"{who}_right") or 0.0), float(signals.get(f"{who}_n") or 0.0)


def _finite(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _grouped(messages: Sequence[str], iterations: int) -> tuple[str, ...]:
    """The last message of each wording, the most frequent first."""
    kinds: dict[str, list[str]] = {}
    for message in messages:
        kinds.setdefault(wording(message), []).append(message)
    found = []
    for said in sorted(kinds.values(), key=len, reverse=True):
        figures = "; figures of the last" if len(set(said)) > 1 else ""
        found.append(said[0] if len(said) == 1 else f"{said[-1]} ({len(said)} of {iterations} iterations{figures})")
    return tuple(found)


def _counted(messages: Counter[str], iterations: int) -> tuple[str, ...]:
    return tuple(
        message if count == 1 else f"{message} ({count} of {iterations} iterations)"
        for message, count in sorted(messages.items())
    )
