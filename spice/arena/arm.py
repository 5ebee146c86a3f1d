"""One arm of a comparison: one recipe, one seed, trained by the stages that train everything else, then examined."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from spice import stages
from spice.arena import corpus, results, warmstarts, world
from spice.arena.results import ArmResult, LabelReading, Reading
from spice.arena.warmup import Report
from spice.config import Config, RecipeName, StoreConfig
from spice.evaluation import runner
from spice.evaluation.items import Suite
from spice.models.loading import load_tokenizer
from spice.reporting.records import Coevolution, CoevolutionChange
from spice.rollout.open import open_engine
from spice.selfplay import recipes
from spice.selfplay.verify import Verifier
from spice.settings import resolve
from spice.store import ObjectStore, artifacts, open_store
from spice.store.canonical import digest, dumps
from spice.training.loop import Progress, Trained

RATES: Mapping[RecipeName, float] = MappingProxyType(
    dict.fromkeys(("strong_challenger", "fixed_challenger", "no_corpus", "r_zero", "rlvr", "random_reward"), 1e-4)
)
"""Learning rates that the search found better than the preset's; see `spice.arena.tune` and docs/findings.md."""


@dataclass(frozen=True)
class Arm:
    """A recipe with a seed.

    Attributes:
        world: name of the world.
        recipe: what is played.
        seed: of the run; it chooses the warm start too.
        sets: settings that differ from the preset `arena`, as `section.key=value`.
        label: what tables call it, if not by the recipe's name.
        part: which questions it is examined with.
    """

    world: str
    recipe: RecipeName
    seed: int
    sets: tuple[str, ...] = ()
    label: str | None = None
    part: corpus.Part = "test"


def configuration(arm: Arm, store: StoreConfig) -> Config:
    """Everything the arm's run depends on. Raises `ConfigError` for settings that are not allowed."""
    sets = [
        f"recipe.name={arm.recipe}",
        f"seed={arm.seed}",
        f"model.name={warmstarts.name(world.find(arm.world), arm.seed)}",
    ]
    if arm.recipe == "strong_challenger":
        sets.append(f"recipe.challenger_model={warmstarts.strong_name(world.find(arm.world))}")
    if arm.recipe == "rlvr":
        sets.append(f"recipe.question_set={warmstarts.questions_file(world.find(arm.world))}")
    if arm.recipe in RATES:
        sets.append(f"learner.learning_rate={RATES[arm.recipe]}")
    config = resolve(preset="arena", sets=[*sets, *arm.sets]).config
    return config.model_copy(update={"store": store})


def key(arm: Arm, config: Config) -> str:
    """The name of the arm's run and result; any change of a setting gives another."""
    # Where the store and the cache lie is of this machine and changes nothing.
    settings = digest(dumps(config.model_dump(mode="json", exclude={"store": True, "recipe": {"question_set"}})))
    part = "" if arm.part == "test" else f"-{arm.part}"
    return f"arena-{arm.world}-{arm.recipe}-s{arm.seed}-{settings[:8]}{part}"


def play(arm: Arm, store: StoreConfig, progress: Progress) -> ArmResult:
    """Train and examine the arm, from where it was stopped if it was begun before; a finished arm is only read.

    Args:
        arm: what to play.
        store: where runs and results lie.
        progress: told after each iteration, and during warm-up.
    """
    config = configuration(arm, store)
    name, opened = key(arm, config), open_store(store)
    found = results.load(opened, name)
    if found is None:
        place = world.find(arm.world)
        _prepare(arm, place, lambda done, total: progress(done, total, "warm up"))
        documents = corpus.store_documents(opened, place)
        resume = opened.head(f"runs/{name}/run.json") is not None
        trained = stages.train(documents, config, name, resume=resume, progress=progress, oracle=corpus.oracle)
        if arm.part == "test" and recipes.resolve(config.recipe).challenger_learns:
            stages.coevolve(name, config, progress=progress, oracle=corpus.oracle)
        found = _examined(opened, arm, config, trained)
        results.save(opened, name, found)
    return found.model_copy(update={"recipe": arm.label or arm.recipe})


def examine(opened: ObjectStore, ref: str, config: Config, suite: Suite) -> str:
    """Put the test to a checkpoint; returns 1 for each right answer and 0 for each wrong one."""
    with tempfile.TemporaryDirectory(prefix="spice-arena-") as temporary, Verifier() as verifier:
        folder = artifacts.download(opened, ref, Path(temporary) / "model")
        answered = runner.run(
            open_engine(folder, config.model, config.rollout),
            load_tokenizer(folder),
            [suite],
            recipe=config.recipe,
            max_tokens=config.evaluation.max_tokens,
            verifier=verifier,
        )
    return "".join(str(int(result.correct)) for result in answered[suite.name])


def _prepare(arm: Arm, place: world.World, report: Report) -> None:
    """Make what the arm begins with, if it is not in the cache."""
    warmstarts.ensure(place, arm.seed, report)
    if arm.recipe == "strong_challenger":
        warmstarts.ensure_strong(place, report)
    if arm.recipe == "rlvr":
        warmstarts.ensure_questions(place)


def _examined(opened: ObjectStore, arm: Arm, config: Config, trained: Trained) -> ArmResult:
    lines = _metrics(opened, trained.run, config.training.iterations)
    suite = corpus.exam(world.find(arm.world), arm.part)
    # A search looks at the end alone; a comparison draws the way there, too.
    checkpoints = trained.checkpoints if arm.part == "test" else trained.checkpoints[-1:]
    readings = [
        Reading(
            iteration=iteration,
            tokens=sum(sum(line["generated_tokens"].values()) for line in lines[:iteration]),
            seconds=sum(line["seconds"]["total"] for line in lines[:iteration]),
            answers=examine(opened, ref, config, suite),
        )
        for iteration, ref in checkpoints
    ]
    alarms = Counter(alarm for line in lines for alarm in line["alarms"])
    return ArmResult(
        world=arm.world,
        recipe=arm.recipe,
        seed=arm.seed,
        warm_start=config.model.name,
        learning_rate=config.learner.learning_rate,
        updates=len(lines) * config.recipe.updates_per_iteration,
        run=trained.run,
        readings=tuple(readings),
        labels=tuple(_labels(lines)),
        coevolution=tuple(_coevolution(opened, trained.run)),
        alarms=dict(sorted(alarms.items())),
    )


def _labels(lines: Sequence[Mapping[str, Any]]) -> list[LabelReading]:
    return [
        LabelReading(
            iteration=line["iteration"],
            label_accuracy=line["oracle"]["label_accuracy"],
            audit_agrees=line["audit"]["agree_share"],
            pass_rate=line["reasoner"]["pass_rate"],
            true_rate=line["oracle"]["pass_rate"],
        )
        for line in lines
    ]


def _coevolution(opened: ObjectStore, run: str) -> list[CoevolutionChange]:
    key = f"runs/{run}/coevolution.json"
    if opened.head(key) is None:
        return []
    return list(Coevolution.model_validate_json(opened.get(key)).changes)


def _metrics(opened: ObjectStore, run: str, iterations: int) -> list[dict[str, Any]]:
    keys = (f"runs/{run}/iterations/{n:06d}.json" for n in range(1, iterations + 1))
    return [json.loads(opened.get(key)) for key in keys]
