"""A batch to learn from, and several processes that learn from it together."""

from __future__ import annotations

import multiprocessing
import os
import queue
import socket
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from spice.learner.base import Trajectory  # noqa: E402
from spice.learner.ranks import Ranks  # noqa: E402

BUDGETS = {"challenger": 8, "reasoner": 8}
_PATIENCE = 240


@dataclass(frozen=True)
class _Failed:
    trace: str


def some_batch(seed: int = 0, prompts: int = 3) -> list[Trajectory]:
    """Trajectories of both roles with shared prompts, repeated answers, and log-probabilities of another policy."""
    rng = np.random.default_rng(seed)
    made: list[Trajectory] = []
    for role in ("challenger", "reasoner"):
        for _ in range(prompts):
            prompt = (5, 6, 7, 8, *rng.integers(10, 200, 4).tolist())
            for _ in range(3):
                tokens = tuple(rng.integers(10, 200, int(rng.integers(2, 7))).tolist())
                logprobs = rng.normal(-6.5, 0.1, len(tokens)).astype(np.float32)
                made.append(Trajectory(role, prompt, tokens, logprobs, float(rng.normal()), 0.9))
    return made


def on_ranks(size: int, work: Callable[..., Any], *args: Any) -> list[Any]:
    """What `work(ranks, *args)` returns in each of `size` processes over gloo, by rank. They are forked."""
    context = multiprocessing.get_context("fork")
    results: Any = context.Queue()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    def run(rank: int) -> None:
        environ = {
            "RANK": rank,
            "LOCAL_RANK": rank,
            "WORLD_SIZE": size,
            "MASTER_PORT": port,
            "MASTER_ADDR": "127.0.0.1",
        }
        os.environ |= {name: str(value) for name, value in environ.items()}
        torch.set_num_threads(1)
        try:
            results.put((rank, work(Ranks.from_environment(), *args)))
        except Exception:
            results.put((rank, _Failed(traceback.format_exc())))

    processes = [context.Process(target=run, args=(rank,), daemon=True) for rank in range(size)]
    for process in processes:
        process.start()
    try:
        found = dict(results.get(timeout=_PATIENCE) for _ in processes)
    except queue.Empty:
        pytest.fail(f"of {size} ranks, {[p.exitcode for p in processes]} are the exit codes; see the output")
    finally:
        for process in processes:
            process.join(10)
            process.kill()
    for rank, made in found.items():
        if isinstance(made, _Failed):
            pytest.fail(f"rank {rank}: {made.trace}")
    return [found[rank] for rank in range(size)]


@pytest.fixture
def budgets() -> dict[str, int]:
    return BUDGETS


@pytest.fixture(name="some_batch")
def _some_batch() -> Callable[..., list[Trajectory]]:
    return some_batch


@pytest.fixture(name="on_ranks")
def _on_ranks() -> Callable[..., list[Any]]:
    return on_ranks
