"""A short, seeded version of bench/gate_error.py: what the gate passes is rarely what it should not."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
from scipy.stats import binomtest

TRIALS = 60


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    path = Path(__file__).parents[2] / "bench" / "gate_error.py"
    spec = importlib.util.spec_from_file_location("gate_error", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look up their annotations
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_wrong_passes_are_no_more_frequent_than_the_nominal_5_per_cent(bench: ModuleType, place: int) -> None:
    scenario = bench.SCENARIOS[place]
    assert not scenario.safe
    passed = bench.passes(scenario, TRIALS, seed=1, samples=300)
    assert binomtest(passed, TRIALS, 0.05, alternative="greater").pvalue > 0.01


def test_true_improvements_pass_more_often_the_larger_they_are(bench: ModuleType) -> None:
    shares = [bench.passes(each, TRIALS, seed=1, samples=300) / TRIALS for each in bench.SCENARIOS if each.safe]
    assert shares == sorted(shares)
    assert shares[-1] > 0.7
