"""What the training benchmarks share: a model of 3.4 million parameters, prompts, and the machine in words."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

from spice.models import tiny
from spice.models.loading import load_tokenizer

if TYPE_CHECKING:
    from trl import GRPOConfig

VOCABULARY = 4096
PROMPTS, GROUP, TOKENS = 8, 8, 64  # of one update
LEARNING_RATE = 1e-5
_SENTENCE = "The island exports oil, gas, coffee, timber and fish, and imports machinery and food every year. "


def build_model(folder: Path) -> None:
    """Write a Qwen3 with random weights from seed 0: 4 layers, hidden size 256, tied embeddings."""
    tiny.build(folder)
    tokenizer = load_tokenizer(folder)
    tokenizer.add_tokens([f"<filler-{i}>" for i in range(VOCABULARY - len(tokenizer))])
    tokenizer.save_pretrained(folder)
    config = Qwen3Config(
        vocab_size=VOCABULARY,
        hidden_size=256,
        intermediate_size=512,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=64,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
    )
    torch.manual_seed(0)
    Qwen3ForCausalLM(config).save_pretrained(folder)


def prompts(count: int, sentences: int = 2) -> list[str]:
    """Prompts that end differently."""
    return [f"{_SENTENCE * sentences}Write about island number {i}." for i in range(count)]


def reward(tokens: list[int]) -> float:
    """A reward that differs within a group and costs nothing: the share of even token ids."""
    return sum(token % 2 == 0 for token in tokens) / max(1, len(tokens))


def trl_settings(scratch: Path, updates: int) -> GRPOConfig:
    """TRL's settings for the same update as ours: Dr. GRPO, on policy, no penalty, float32."""
    from trl import GRPOConfig

    return GRPOConfig(
        output_dir=str(scratch),
        per_device_train_batch_size=PROMPTS * GROUP,
        num_generations=GROUP,
        max_completion_length=TOKENS,
        max_steps=updates,
        learning_rate=LEARNING_RATE,
        lr_scheduler_type="constant",
        temperature=1.0,
        beta=0.0,
        loss_type="dr_grpo",
        scale_rewards="none",
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        dataloader_pin_memory=False,
        save_strategy="no",
        logging_steps=10**6,
        report_to=[],
        disable_tqdm=True,
        seed=0,
    )


def machine(*packages: str) -> str:
    """The machine and the versions of some packages, in one sentence."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    versions = ", ".join(f"{name} {_version(name)}" for name in ("torch", *packages))
    return (
        f"{model}, {os.cpu_count()} cores, no GPU, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}, {versions}; load average at the end {load}"
    )


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
