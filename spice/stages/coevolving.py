"""The stage that lets checkpoints meet each other."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

from spice.config import Config, RecipeConfig
from spice.errors import NotFoundError
from spice.selfplay.types import Oracle, Task
from spice.stages.opening import documents
from spice.stages.opening import engine as open_engine
from spice.store import ObjectStore, artifacts, open_store

if TYPE_CHECKING:
    from spice.rollout.base import Engine
    from spice.selfplay.executor import Executor
    from spice.training.loop import Progress
    from spice.training.programs import ProgramPoser


def coevolve(run: str, config: Config, *, progress: Progress, oracle: Oracle | None = None) -> None:
    """Let every checkpoint's Challenger meet every checkpoint's Reasoner (paper section 4).

    Held-out documents are used, so that no task was seen in training. Writes `runs/<run>/coevolution.json`.

    Args:
        run: whose checkpoints; of many, `evaluation.coevolution_checkpoints` are taken, evenly spread.
        config: documents, bootstrap and recipe.
        progress: told after each meeting.
        oracle: knows which answers are true, where anything does.

    Raises:
        NotFoundError: the run has no checkpoint yet.
    """
    import numpy as np

    from spice.evaluation import coevolution
    from spice.selfplay import recipes
    from spice.selfplay.executor import Executor
    from spice.selfplay.types import NO_DOCUMENT
    from spice.selfplay.verify import Verifier
    from spice.training.checkpoints import load_state
    from spice.training.play import Players, seed_stream, span_index
    from spice.training.process import prepare

    prepare(config.training.threads)
    store = open_store(config.store)
    state = load_state(store, run)
    if state is None:
        raise NotFoundError(f"Run {run} has no checkpoint yet.")
    # The first checkpoint is the base; any later one names the documents, under its digest.
    corpus = str(artifacts.manifest(store, state.checkpoints[-1][1]).get("corpus", ""))
    source = recipes.resolve(config.recipe).source
    with documents(store, corpus, "held_out") as held_out:
        wanted = config.evaluation.coevolution_documents
        spread = range(0, len(held_out), max(1, len(held_out) // wanted))[:wanted]
        chosen = [NO_DOCUMENT if source in ("nothing", "programs") else held_out[place] for place in spread]
        index = span_index(held_out, config.recipe)
    checkpoints = coevolution.spread(state.checkpoints, config.evaluation.coevolution_checkpoints)
    posing = [(n, str(artifacts.manifest(store, ref).get("challenger", ref))) for n, ref in checkpoints]
    seeds, rng = seed_stream(config.evaluation.seed, 0), np.random.default_rng(config.evaluation.seed)
    total, done = len(checkpoints) ** 2, 0

    executor = Executor(config.recipe.program_seconds, config.recipe.program_bytes)
    programs = partial(_program_poser, config.recipe, len(chosen), executor, store, run, state.iteration)
    with Verifier(timeout_s=config.recipe.verify_seconds, executor=executor) as verifier:
        tokenizers: dict[int, Any] = {}

        @contextmanager
        def load(ref: str) -> Iterator[Engine]:
            with open_engine(store, ref, config) as (engine, tokenizer):
                tokenizers[id(engine)] = tokenizer
                yield engine

        def players(engine: Engine) -> Players:
            return Players(engine, tokenizers[id(engine)], config.recipe, index, verifier)

        def pose(engine: Engine) -> dict[str, Task]:
            attempts = (
                programs()(players(engine), 0, seeds)
                if source == "programs"
                else players(engine).challenge(chosen, seeds)
            )
            firsts = [next((attempt.task for attempt in made if attempt.task), None) for made in attempts]
            return {f"{i:04d} {chosen[i].id}".rstrip(): task for i, task in enumerate(firsts) if task}

        def solve(engine: Engine, tasks: Sequence[Task]) -> list[coevolution.Solved]:
            nonlocal done
            answers = players(engine).answer(tasks, seeds)
            done += 1
            progress(done, total, "co-evolution")
            truths = [oracle(task) if oracle else None for task in tasks]
            return [
                coevolution.Solved(one.correct, None if truth is None else players(engine).rejudge(one, truth).correct)
                for one, truth in zip(answers, truths, strict=True)
            ]

        cells = coevolution.measure(
            checkpoints, load, pose, solve, posing=posing, samples=config.evaluation.bootstrap_samples, rng=rng
        )
    changes = coevolution.changes(cells, config.evaluation.bootstrap_samples, rng)
    found = {"cells": [asdict(cell) for cell in cells], "changes": [asdict(change) for change in changes]}
    store.put(f"runs/{run}/coevolution.json", json.dumps(found, sort_keys=True).encode())


def _program_poser(
    recipe: RecipeConfig, tasks: int, executor: Executor, store: ObjectStore, run: str, iterations: int
) -> ProgramPoser:
    """What poses tasks about programs. All checkpoints see the same earlier programs: those of the whole run."""
    from spice.training.programs import ProgramPoser

    poser = ProgramPoser(recipe.model_copy(update={"batch_documents": tasks}), executor)
    poser.recall(store, run, iterations)
    return poser
