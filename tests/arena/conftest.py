"""Arms that were never played, for tables and pages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from spice.arena.results import ArmResult, LabelReading, Reading

ITEMS = 400


@pytest.fixture
def make_arm() -> Callable[..., ArmResult]:
    """An arm whose chance of a right answer goes evenly from `start` to `end` over five checkpoints."""

    def make(recipe: str, seed: int, start: float, end: float, **other: Any) -> ArmResult:
        rng = np.random.default_rng([seed, len(recipe)])
        hard = np.random.default_rng(0).random(ITEMS) - 0.5
        readings = []
        for step in range(5):
            chance = start + (end - start) * step / 4 + 0.2 * hard
            answers = "".join(str(int(right)) for right in rng.random(ITEMS) < chance)
            readings.append(
                Reading(
                    iteration=25 * step, tokens=step * other.get("tokens", 1000), seconds=10.0 * step, answers=answers
                )
            )
        labels = tuple(
            LabelReading(iteration=n, label_accuracy=1.0 - n / 200, audit_agrees=0.9, pass_rate=0.5, true_rate=0.5)
            for n in range(1, 101)
        )
        return ArmResult(
            world="ladder",
            recipe=recipe,
            seed=seed,
            warm_start=f"arena-ladder-{seed % 3}-v1",
            learning_rate=2e-4,
            updates=100,
            run=f"arena-ladder-{recipe}-s{seed}",
            readings=tuple(readings),
            labels=labels,
            alarms=other.get("alarms", {}),
        )

    return make
