"""DeepSpeed against the plain learner: the same update, whatever the stage and the number of ranks.

Each rank is a process that starts afresh (`deepspeed_rank.py`).
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
if find_spec("deepspeed") is None:
    pytest.skip("NO DEEPSPEED: `make test-engines` has it", allow_module_level=True)

PATIENCE_S = 900
pytestmark = [pytest.mark.engines, pytest.mark.timeout(2 * PATIENCE_S)]
PLAIN: dict[str, Any] = {"learning_rate": 1e-3, "gradient_checkpointing": False, "microbatch_tokens": 64}
# AdamW makes a whole step of the rounding of a gradient near 0, so in bfloat16 the mean tells more than the largest.
MEAN_GAP = {"float32": 1e-7, "bfloat16": 3e-4}
LARGEST_GAP = 1e-4  # a tenth of a step
Weights = dict[str, np.ndarray]
Learned = list[list[tuple[dict[str, Any], Weights]]]
"""By job, by rank: the figures of the last update, and the weights."""


def job(backend: str, *steps: tuple[str, Any], precision: str = "float32", **config: Any) -> dict[str, Any]:
    """What one learner does; `steps` are those of `deepspeed_rank.py`."""
    return {"backend": backend, "config": {**PLAIN, "precision": precision, **config}, "do": steps}


@pytest.fixture
def learn(tiny_folder: Path, tmp_path: Path) -> Callable[[int, list[dict[str, Any]]], Learned]:
    """Do jobs in a number of ranks: `learn(2, [job(...), ...])`."""

    def learned(size: int, jobs: list[dict[str, Any]]) -> Learned:
        out = tmp_path / f"ranks-{size}"
        out.mkdir()
        run_ranks(size, out, [str(tiny_folder), str(out), json.dumps(jobs)])
        return [[read(out / f"{number}-{rank}") for rank in range(size)] for number in range(len(jobs))]

    return learned


def run_ranks(size: int, logs: Path, arguments: list[str]) -> None:
    """Run `deepspeed_rank.py` in `size` processes over gloo, and fail with the log of the one that fails."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    script = Path(__file__).with_name("deepspeed_rank.py")
    common = {**os.environ, "WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    processes = []
    deadline = time.monotonic() + PATIENCE_S
    try:
        for rank in range(size):
            with (logs / f"{rank}.log").open("wb") as log:
                env = {**common, "RANK": str(rank), "LOCAL_RANK": str(rank)}
                command = [sys.executable, str(script), *arguments]
                processes.append(subprocess.Popen(command, env=env, stdout=log, stderr=log))
        codes = [process.wait(deadline - time.monotonic()) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    said = {rank: (logs / f"{rank}.log").read_text(errors="replace")[-4000:] for rank in range(size) if codes[rank]}
    assert not said, "\n".join(f"rank {rank}: {text}" for rank, text in said.items())


def read(path: Path) -> tuple[dict[str, Any], Weights]:
    with np.load(f"{path}.npz") as weights:
        return json.loads(path.with_name(f"{path.name}.json").read_text()), dict(weights)


def compare(found: Weights, wanted: Weights, precision: str = "float32") -> None:
    assert found.keys() == wanted.keys()
    for name, weight in wanted.items():
        assert np.abs(found[name] - weight).mean() < MEAN_GAP[precision], name
        if precision == "float32":
            np.testing.assert_allclose(found[name], weight, atol=LARGEST_GAP, rtol=1e-3, err_msg=name)


@pytest.mark.parametrize(
    ("size", "stages", "precisions"),
    [(1, (1, 2, 3), ("float32", "bfloat16")), (2, (1, 2, 3), ("float32", "bfloat16")), (3, (2,), ("float32",))],
    ids=["1 rank", "2 ranks", "3 ranks"],
)
def test_every_stage_makes_the_update_of_the_plain_learner(learn, size, stages, precisions):
    updates = ("update", 1), ("update", 2)
    jobs = [
        one
        for precision in precisions
        for one in (
            job("torch", *updates, precision=precision),
            *(job("deepspeed", *updates, precision=precision, zero_stage=stage) for stage in stages),
        )
    ]
    results = learn(size, jobs)
    for start, precision in zip(range(0, len(jobs), 1 + len(stages)), precisions, strict=True):
        plain, *divided = results[start : start + 1 + len(stages)]
        near = {"rel": 1e-3 if precision == "float32" else 5e-2, "abs": 1e-5}
        for stage, ranks in zip(stages, divided, strict=True):
            for (stats, weights), (wanted, exact) in zip(ranks, plain, strict=True):
                compare(weights, exact, precision)
                for figure in ("grad_norm", "loss", "mismatch_kl"):
                    assert stats[figure] == pytest.approx(wanted[figure], **near), (precision, stage, figure)


def test_a_state_goes_on_with_another_learner_and_other_ranks(learn, tmp_path):
    def go_on(backend: str, written_at: int, **config: Any) -> dict[str, Any]:
        return job(backend, ("load", str(tmp_path / f"state-{written_at}")), ("update", 2), **config)

    stages = (1, 2, 3)
    begin = [
        job("deepspeed", ("update", 1), ("capture", str(tmp_path / f"state-{s}")), ("update", 2), zero_stage=s)
        for s in stages
    ]
    two = learn(2, begin + [go_on("deepspeed", s, zero_stage=s) for s in stages])
    one = learn(1, [go_on("deepspeed", s, zero_stage=s % 3 + 1) for s in stages] + [go_on("torch", s) for s in stages])
    for place in range(len(stages)):
        wanted, again = (results[0][1] for results in (two[place], two[place + 3]))
        assert all((again[name] == weight).all() for name, weight in wanted.items()), "as many ranks: the same bytes"
        for elsewhere in (one[place], one[place + 3]):
            compare(elsewhere[0][1], wanted)


def test_adapters_learn_what_they_learn_in_the_plain_learner(learn):
    updates = ("update", 1), ("update", 2), ("update", 3)
    lora = {"rank": 4}
    for (_, wanted), (_, found) in zip(
        *learn(2, [job("torch", *updates, lora=lora), job("deepspeed", *updates, lora=lora)]), strict=True
    ):
        compare(found, wanted)
