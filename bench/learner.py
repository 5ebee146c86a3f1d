"""Our learner against TRL's on the very same batches: tokens per second, and the share of padding.

    .venv-engines/bin/python bench/learner.py [--updates 10] [--threads 2] [--out FILE]

TRL's trainer generates, and what it generated is given to our learner as well.
Only learning is timed: loss, backward pass, optimizer step. For TRL that is a
training step without its generation. Tokens are counted as if each answer were
computed with its prompt and nothing were shared, for both alike.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from workload import GROUP, LEARNING_RATE, PROMPTS, TOKENS, build_model, machine, prompts, reward, trl_settings

from spice.config import LearnerConfig
from spice.learner.base import Trajectory
from spice.learner.torch_learner import TorchLearner
from spice.models.loading import load_model

WARM_UP = 2
Batch = dict[str, torch.Tensor]


def trl_learns(folder: Path, updates: int, scratch: Path, after: Callable[[float, Batch], None]) -> None:
    """Let TRL take its steps, and tell `after` the seconds of each one's learning and the batch."""
    from datasets import Dataset
    from transformers import TrainerCallback
    from trl import GRPOTrainer

    generating, batch, begun = 0.0, {}, 0.0

    class Timed(GRPOTrainer):
        def _generate_and_score_completions(self, inputs: Any) -> Any:
            nonlocal generating, batch
            start = time.perf_counter()
            batch = super()._generate_and_score_completions(inputs)
            generating += time.perf_counter() - start
            return batch

    class Stopwatch(TrainerCallback):
        def on_step_begin(self, *_: Any, **__: Any) -> None:
            nonlocal begun
            begun = time.perf_counter()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            nonlocal generating
            seconds, generating = time.perf_counter() - begun - generating, 0.0
            after(seconds, batch)

    Timed(
        model=str(folder),
        reward_funcs=lambda completion_ids, **_: [reward(ids) for ids in completion_ids],
        args=trl_settings(scratch, updates),
        train_dataset=Dataset.from_dict({"prompt": prompts(PROMPTS) * updates}),
        callbacks=[Stopwatch()],
    ).train()


def trajectories(batch: Batch) -> list[Trajectory]:
    """TRL's batch as ours: the same prompts, answers and advantages."""
    found = []
    for row in range(len(batch["completion_ids"])):
        prompt = batch["prompt_ids"][row][batch["prompt_mask"][row].bool()].tolist()
        tokens = batch["completion_ids"][row][batch["completion_mask"][row].bool()].tolist()
        # On policy the engine's log-probabilities are the learner's; the work is the same with any.
        logprobs = torch.full((len(tokens),), -6.0).numpy()
        found.append(
            Trajectory("reasoner", tuple(prompt), tuple(tokens), logprobs, float(batch["advantages"][row]), 1.0)
        )
    return found


def report(rates: dict[str, list[float]], padding: dict[str, list[float]], updates: int, threads: int) -> str:
    """The table."""
    rows = []
    for name, measured in rates.items():
        spread = statistics.quantiles(measured, n=4)
        ratio = statistics.median([a / b for a, b in zip(measured, rates["trl"], strict=True)])
        rows.append(
            f"| {name} | {statistics.median(measured):,.0f} | {spread[0]:,.0f} to {spread[2]:,.0f} | "
            f"{statistics.fmean(padding[name]):.1%} | {ratio:.2f} |"
        )
    return "\n".join(
        [
            "# The learner against TRL's",
            "",
            f"`python bench/learner.py --updates {updates} --threads {threads}` on {datetime.now(UTC):%Y-%m-%d}",
            "",
            "| | tokens a second, median | middle half | padding | median of ratios to TRL |",
            "|---|---|---|---|---|",
            *rows,
            "",
            f"{PROMPTS} prompts x {GROUP} answers x up to {TOKENS} tokens that TRL's trainer generated; both learn",
            "from the same batch, in turns in one process: loss, backward pass, optimizer step, float32. Tokens count",
            "prompt and answer of each, shared or not. Answers without an advantage are computed by TRL only.",
            f"On {machine('transformers', 'trl')}.",
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--updates", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    rates: dict[str, list[float]] = {"ours": [], "trl": []}
    padding: dict[str, list[float]] = {"ours": [], "trl": []}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "model"
        folder.mkdir()
        build_model(folder)
        settings = LearnerConfig(learning_rate=LEARNING_RATE, precision="float32", gradient_checkpointing=False)
        ours = TorchLearner(load_model(folder, "float32"), settings, {"challenger": TOKENS, "reasoner": TOKENS})
        seen = 0

        def after(seconds: float, batch: Batch) -> None:
            nonlocal seen
            seen += 1
            mine = trajectories(batch)
            tokens = sum(len(t.prompt) + len(t.tokens) for t in mine)
            computed = batch["prompt_mask"].numel() + batch["completion_mask"].numel()
            start = time.perf_counter()
            stats = ours.update(mine, 1)
            own = time.perf_counter() - start
            if seen > WARM_UP:
                rates["trl"].append(tokens / seconds)
                rates["ours"].append(tokens / own)
                padding["trl"].append(1 - tokens / computed)
                padding["ours"].append(stats.padding_share)

        trl_learns(folder, args.updates + WARM_UP, Path(temporary) / "trl", after)
    text = report(rates, padding, args.updates, args.threads)
    print(text)
    if args.out:
        args.out.write_text(text)


if __name__ == "__main__":
    main()
