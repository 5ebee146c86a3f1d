"""The warm start: a model that plays both roles passably and holds the beliefs of its world and seed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spice.arena.lessons import Lesson, Teacher
from spice.arena.model import new_model, save_tokenizer
from spice.arena.world import World, beliefs
from spice.training.process import one_thread

if TYPE_CHECKING:
    import torch

STEPS = 800
# Sequences per step. Most go to the Reasoner, who has 480 facts to learn; the other lessons are copying.
_SOLVE, _POSE, _INVENT, _READ = 48, 8, 8, 4
STRONG_STEPS = 150
_STRONG_POSE, _STRONG_SHORTEST = 64, 4
_PEAK, _RAMP, _CLIP = 3e-3, 0.05, 1.0

Report = Callable[[int, int], None]
"""Called with the steps done and the steps in all."""


def silent(done: int, total: int) -> None:
    """Report to nobody."""


def build(folder: Path, world: World, seed: int, steps: int = STEPS, report: Report = silent) -> None:
    """Train a model from random weights and write it, with its tokenizer, into `folder`.

    The same arguments give the same model on one machine, however many of its cores are free. Different seeds know
    different facts.

    Args:
        folder: where it goes, in Hugging Face layout, weights in bfloat16.
        world: whose documents it will read.
        seed: of its weights, beliefs and lessons.
        steps: optimizer steps.
        report: told of progress.
    """
    teacher = Teacher(world, beliefs(world, seed), np.random.default_rng([seed, steps]))

    def lessons() -> Iterator[Lesson]:
        yield teacher.solve(_SOLVE)
        yield teacher.pose(_POSE)
        yield teacher.invent(_INVENT)
        yield teacher.read(_READ)

    _train(folder, seed, steps, lessons, report)


def build_strong(folder: Path, world: World, steps: int = STRONG_STEPS, report: Report = silent) -> None:
    """Train the strong Challenger: it only poses, and never asks for fewer than four operations."""
    teacher = Teacher(world, beliefs(world, 0), np.random.default_rng(steps), shortest=_STRONG_SHORTEST)
    _train(folder, 0, steps, lambda: iter([teacher.pose(_STRONG_POSE)]), report)


@one_thread()
def _train(folder: Path, seed: int, steps: int, lessons: Callable[[], Iterator[Lesson]], report: Report) -> None:
    import torch

    model = new_model(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=_PEAK, betas=(0.9, 0.98), weight_decay=0.01, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, steps))
    for step in range(steps):
        optimizer.zero_grad(set_to_none=True)
        for lesson in lessons():
            _loss(model, lesson).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), _CLIP)
        optimizer.step()
        schedule.step()
        report(step + 1, steps)
    model.to(torch.bfloat16).save_pretrained(folder)
    save_tokenizer(folder)


def _loss(model: Any, lesson: Lesson) -> torch.Tensor:
    """Mean cross-entropy over the symbols that are to be learned, in nats."""
    import torch

    wanted = torch.from_numpy(lesson.wanted)
    hidden = model.model(input_ids=torch.from_numpy(lesson.ids)).last_hidden_state[:, lesson.first :]
    logprobs = model.lm_head(hidden).log_softmax(-1)
    loss: torch.Tensor = -(wanted * logprobs).sum() / wanted.sum()
    return loss


def _rate(step: int, steps: int) -> float:
    """Share of the peak learning rate: a linear ramp, then a cosine down to a hundredth."""
    ramp = max(1, round(_RAMP * steps))
    if step < ramp:
        return (step + 1) / ramp
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (step - ramp) / max(1, steps - ramp)))
