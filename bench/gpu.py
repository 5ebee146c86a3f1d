"""On a node with a GPU: model FLOPs utilisation of the learner, and tokens a second of the engine.

    python bench/gpu.py [--models 0.6B 1.7B 4B] [--tokens 4096 16384] [--engine vllm] [--out FILE]

Qwen3 shapes with random weights, so no hub is needed. A batch holds four groups
of 8 answers; the micro-batch is one packed tree. Peaks of the devices are those
of `spice.learner.flops`. The learner's memory is plain AdamW's: 22 bytes a
weight, so 4B wants a GPU of 141 GB, or --lora.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

from spice.config import LearnerConfig, LoraConfig, ModelConfig, RolloutConfig
from spice.learner.base import Trajectory
from spice.learner.torch_learner import TorchLearner
from spice.models import tiny
from spice.models.loading import load_model
from spice.models.shapes import KNOWN
from spice.rollout.base import Request
from spice.rollout.open import open_engine

GROUPS, GROUP, STEPS, WARM_UP = 4, 8, 5, 2


def build(folder: Path, size: str) -> None:
    """Write a Qwen3 of the given size with random weights, and the tiny model's tokenizer."""
    shape = KNOWN[f"Qwen/Qwen3-{size}-Base"]
    tiny.build(folder)
    config = Qwen3Config(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        intermediate_size=shape.inner,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.key_heads,
        head_dim=shape.head_size,
        max_position_embeddings=32768,
        tie_word_embeddings=shape.tied,
    )
    torch.manual_seed(0)
    with torch.device("cuda"):
        Qwen3ForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)


def batch(tokens: int, seed: int) -> list[Trajectory]:
    """Groups of answers to prompts, which packed make trees of about `tokens` tokens."""
    rng = np.random.default_rng(seed)
    answer = tokens // (2 * GROUP)
    found = []
    for _ in range(GROUPS):
        prompt = tuple(rng.integers(10, 700, tokens // 2).tolist())
        for _ in range(GROUP):
            words = tuple(rng.integers(10, 700, answer).tolist())
            found.append(
                Trajectory("reasoner", prompt, words, np.full(answer, -6, np.float32), float(rng.normal()), 1.0)
            )
    return found


def learner_mfu(folder: Path, tokens: int, rank: int) -> tuple[float | None, float]:
    """Median MFU and tokens a second of an update."""
    settings = LearnerConfig(microbatch_tokens=tokens, lora=LoraConfig(rank=rank))
    learner = TorchLearner(load_model(folder, "float32", "cuda"), settings, {"challenger": tokens, "reasoner": tokens})
    mfu, rates = [], []
    for step in range(WARM_UP + STEPS):
        stats = learner.update(batch(tokens, step), 1)
        if step >= WARM_UP:
            mfu.append(stats.mfu)
            rates.append(stats.tokens / stats.seconds)
    known = [value for value in mfu if value is not None]
    return (statistics.median(known) if known else None), statistics.median(rates)


def rollout_rate(folder: Path, engine: str, tokens: int = 512) -> float:
    """Tokens a second that an engine generates: 64 prompts, 8 answers each."""
    opened = open_engine(folder, ModelConfig(device="cuda"), RolloutConfig(engine=engine))
    rng = np.random.default_rng(0)
    requests = [
        Request(tuple(rng.integers(10, 700, 256).tolist()), n=GROUP, max_tokens=tokens, temperature=1.0, seed=i)
        for i in range(64)
    ]
    opened.generate(requests[:4])
    start = time.perf_counter()
    drawn = sum(len(one.tokens) for group in opened.generate(requests) for one in group)
    return drawn / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["0.6B", "1.7B", "4B"])
    parser.add_argument("--tokens", nargs="+", type=int, default=[4096, 16384])
    parser.add_argument("--lora", type=int, default=0, help="rank of adapters; 0 trains all weights")
    parser.add_argument("--engine", default="vllm")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    if not torch.cuda.is_available():
        parser.exit(1, "bench/gpu.py: there is no GPU here\n")
    lines = [f"# On one {torch.cuda.get_device_name()}, {datetime.now(UTC):%Y-%m-%d}, torch {torch.__version__}", ""]
    lines += ["| model | tokens in a micro-batch | MFU | learner, tokens a second |", "|---|---|---|---|"]
    rates = []
    with tempfile.TemporaryDirectory() as temporary:
        for size in args.models:
            folder = Path(temporary) / size
            folder.mkdir()
            build(folder, size)
            for tokens in args.tokens:
                mfu, rate = learner_mfu(folder, tokens, args.lora)
                lines.append(f"| {size} | {tokens} | {'unknown' if mfu is None else f'{mfu:.1%}'} | {rate:,.0f} |")
                torch.cuda.empty_cache()
            rates.append(f"| {size} | {rollout_rate(folder, args.engine):,.0f} |")
    lines += ["", f"| model | {args.engine}, tokens a second |", "|---|---|", *rates, ""]
    text = "\n".join(lines)
    print(text)
    if args.out:
        args.out.write_text(text)


if __name__ == "__main__":
    main()
