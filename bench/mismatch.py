"""Engines that do not play what the learner believes they play: the arena's model, disturbed."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from scripted import recording

from spice.arena import corpus, warmstarts, world
from spice.models.catalog import locate
from spice.models.loading import load_tokenizer
from spice.rollout.base import Completion, Engine, EngineStats, Request
from spice.rollout.batches import BatchStream
from spice.rollout.open import open_engine
from spice.selfplay.types import Document
from spice.selfplay.verify import Verifier
from spice.settings import resolve
from spice.text.spans import SpanIndex
from spice.training.iteration import iterate
from spice.training.play import Players
from spice.training.seats import open_learner

Disturbance = Callable[[Engine, int], Engine]
_SETS = ("recipe.batch_documents=8", "recipe.attempts=4", "recipe.max_attempts=4")


class Wrapped:
    """An engine with another's weights, which it may get otherwise, or ask otherwise."""

    def __init__(
        self,
        engine: Engine,
        weights: Callable[[Mapping[str, torch.Tensor]], Mapping[str, torch.Tensor] | None] = lambda found: found,
        heat: float = 1.0,
    ) -> None:
        """Say what is wrong with it: what becomes of new weights (`None`: they are lost), and of the temperature."""
        self._engine, self._weights, self._heat = engine, weights, heat

    def generate(self, requests: Sequence[Request]) -> list[list[Completion]]:
        """Generate, at another temperature."""
        return self._engine.generate([replace(one, temperature=one.temperature * self._heat) for one in requests])

    def stream(self) -> BatchStream:
        """Batch by batch."""
        return BatchStream(self.generate)

    def stats(self) -> EngineStats:
        """What the engine says."""
        return self._engine.stats()

    def update_weights(self, state: Mapping[str, torch.Tensor]) -> None:
        """Take what arrives of the learner's weights."""
        changed = self._weights(state)
        if changed is not None:
            self._engine.update_weights(changed)


def none(engine: Engine, _seed: int) -> Engine:
    """A healthy engine."""
    return engine


def noisy(share: float) -> Disturbance:
    """Weights with noise of a share of each tensor's own deviation."""

    def disturb(engine: Engine, seed: int) -> Engine:
        generator = torch.Generator().manual_seed(seed)

        def noise(tensor: torch.Tensor) -> torch.Tensor:
            drawn = torch.randn(tensor.shape, generator=generator)
            return tensor + share * tensor.float().std(correction=0) * drawn.to(tensor.dtype)

        return Wrapped(engine, lambda state: {name: noise(tensor) for name, tensor in state.items()})

    return disturb


def stale(engine: Engine, _seed: int) -> Engine:
    """The learner's weights never arrive."""
    return Wrapped(engine, lambda _: None)


def hot(engine: Engine, _seed: int) -> Engine:
    """It samples at 1.5 times the temperature that the learner knows of."""
    return Wrapped(engine, heat=1.5)


DISTURBANCES: Mapping[str, Disturbance] = {
    "noise of 30% in the weights": noisy(0.3),
    "noise of 10%": noisy(0.1),
    "noise of 3%": noisy(0.03),
    "new weights never arrive": stale,
    "another temperature": hot,
}


def play(disturbance: Disturbance, seed: int, iterations: int = 12, until: str | None = None) -> list[set[str]]:
    """The alarms of each iteration of `spice` in the arena, at a quarter of its size, until an alarm is raised."""
    torch.set_num_threads(1)
    place = world.find("ladder")
    warmstarts.ensure(place, 0)
    name = f"model.name={warmstarts.name(place, 0)}"
    config = resolve(preset="arena", environ={}, sets=[name, *_SETS]).config
    drawn = world.documents(place, 400, random.Random(seed), reserved=False)
    documents = [Document(f"{number}", "arena", one.text) for number, one in enumerate(drawn)]
    index = SpanIndex((document.id, document.text) for document in documents)
    folder = locate(config.model)
    learner = open_learner(folder, config)
    engine = disturbance(open_engine(folder, config.model, config.rollout), seed)
    engine.update_weights(learner.weights())
    raised = []
    with Verifier() as verifier, recording(config.health) as recorder:
        players = Players(engine, load_tokenizer(folder), config.recipe, index, verifier)
        for iteration in range(1, iterations + 1):
            found: Any = iterate(
                iteration, documents, players, engine, learner, config.recipe, seed, oracle=corpus.oracle
            )
            raised.append(set(recorder.write(found)["alarms"]))
            if until in raised[-1]:
                break
    return raised
