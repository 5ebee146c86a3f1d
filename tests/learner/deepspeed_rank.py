"""One rank of a test, in a process of its own: it does the jobs that it is told, and leaves what came of each.

    RANK=0 WORLD_SIZE=2 ... python deepspeed_rank.py MODEL OUT JOBS

JOBS is a JSON list. Each job has a fresh learner: `backend`, its `config`, and
what it does, `[["load", folder], ["update", seed], ["capture", folder]]` in
any order. Job 3 of rank 1 leaves its weights in `3-1.npz`, and the figures of
its last update in `3-1.json`.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from conftest import BUDGETS, some_batch

from spice.config import LearnerConfig
from spice.learner.deepspeed_learner import DeepSpeedLearner
from spice.learner.ranks import Ranks
from spice.learner.torch_learner import TorchLearner
from spice.models.loading import load_model

LEARNERS = {"torch": TorchLearner, "deepspeed": DeepSpeedLearner}


def main(model: Path, out: Path, jobs: list[dict[str, Any]]) -> None:
    torch.set_num_threads(1)
    ranks = Ranks.from_environment()
    for number, job in enumerate(jobs):
        stats, weights = run(job, model, ranks)
        np.savez(out / f"{number}-{ranks.rank}.npz", **weights)
        (out / f"{number}-{ranks.rank}.json").write_text(json.dumps(stats))
    ranks.gather(b"done")  # whoever leaves early looks lost to the others
    if dist.is_initialized():
        dist.destroy_process_group()  # else gloo's threads now and then abort the process as it ends


def run(job: dict[str, Any], model: Path, ranks: Ranks) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The figures of the job's last update, and the weights after it."""
    torch.manual_seed(7)  # adapters begin at random
    config = LearnerConfig.model_validate(job["config"])
    learner = LEARNERS[job["backend"]](load_model(model, "float32"), config, BUDGETS, ranks)
    stats: dict[str, Any] = {}
    for verb, what in job["do"]:
        if verb == "load":
            learner.load(Path(what))
        elif verb == "capture":
            learner.capture().write(Path(what))
            ranks.gather(b"written")
        else:
            stats = asdict(learner.update(some_batch(what), 1))
    return stats, {name: weight.float().cpu().numpy().copy() for name, weight in learner.weights().items()}


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3]))
