"""`spice arena`: every recipe against the others, on a model and a world that a laptop can play through in minutes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from spice.cli.common import JsonOption, SetOption, StoreOption, emit, load_config
from spice.cli.resume import Interrupted
from spice.config import RecipeName
from spice.errors import ConfigError

if TYPE_CHECKING:
    from spice.arena.arm import Arm
    from spice.arena.compare import Comparison
    from spice.cli.progress import Progress
    from spice.config import StoreConfig

ALL: tuple[RecipeName, ...] = get_args(RecipeName)
QUICK: tuple[RecipeName, ...] = ("spice", "fixed_challenger", "random_reward")

_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,40}")

arena = typer.Typer(help="Compare the recipes on a small model and a world with an oracle.", no_args_is_help=True)

WorldOption = Annotated[str, typer.Option("--world", help="ladder, or length: the easier one.")]
JobsOption = Annotated[int | None, typer.Option("--jobs", min=1, help="Processes at a time; all cores if not given.")]


@arena.command()
def run(
    recipe: Annotated[str, typer.Option("--recipe", help="What is played.")] = "spice",
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the run; it chooses the warm start too.")] = 0,
    world: WorldOption = "ladder",
    sets: SetOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Play one recipe with one seed and put the test to its checkpoints. Typed again, it goes on where it was."""
    chosen = _known(recipe)

    from spice.arena.arm import Arm, play
    from spice.arena.compare import tabulate
    from spice.arena.table import markdown
    from spice.cli.progress import reporter

    place = load_config("arena", None, None, store).store
    arm = Arm(world, chosen, seed, tuple(sets or ()))
    with reporter(as_json) as progress, _continued():
        result = play(arm, place, progress)
    report = shlex.join(["spice", "report", result.run, "--store", place.url])
    emit(result, f"{markdown(tabulate([result]))}\n\nRun: {result.run}\nReport: {report}", as_json)


@arena.command()
def compare(
    recipes: Annotated[str, typer.Option("--recipes", help="all, or names with commas between.")] = "all",
    seeds: Annotated[str, typer.Option("--seeds", help="How many (3), or which (7,8,9; 7, is one).")] = "3",
    quick: Annotated[
        bool, typer.Option("--quick", help=f"{', '.join(QUICK)} with one seed; some minutes on two cores.")
    ] = False,
    tune: Annotated[bool, typer.Option("--tune", help="First search each recipe's learning rate, equally.")] = False,
    variants: Annotated[
        list[str] | None,
        typer.Option(
            "--variant", metavar="NAME:A.B=C[;D.E=F]", help="A row for spice with other settings. Repeatable."
        ),
    ] = None,
    world: WorldOption = "ladder",
    jobs: JobsOption = None,
    sets: SetOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Play recipes against each other: the same seeds, warm starts, test and number of updates for all.

    What is finished is not played again, and what was stopped goes on where it was.
    """
    chosen = QUICK if quick else _recipes(recipes)
    numbers = (0,) if quick else _seeds(seeds)
    changed = [_variant(text) for text in variants or []]

    from spice.arena.compare import tabulate
    from spice.arena.pool import play_all
    from spice.cli.progress import reporter

    place = load_config("arena", None, None, store).store
    with reporter(as_json) as progress, _continued():
        arms = _arms(chosen, numbers, world, tuple(sets or ()), changed)
        tuning: dict[str, dict[str, float]] = {}
        if tune:
            arms, tuning = _tuned(arms, world, tuple(sets or ()), place, jobs, progress)
        found = tabulate(play_all(arms, place, jobs, progress)).model_copy(update={"tuning": tuning})
    _publish(found, place, as_json)


@arena.command("warm-up")
def warm_up(
    seeds: Annotated[str, typer.Option("--seeds", help="How many (3), or which (0,1; 1, is one).")] = "3",
    world: WorldOption = "ladder",
    anew: Annotated[bool, typer.Option("--anew", help="Train also what is there already or ships with it.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Train the models that a comparison begins with, and keep them in the cache folder; minutes each.

    The strong Challenger is one of them.
    """
    chosen = _seeds(seeds)

    from spice.arena import warmstarts
    from spice.arena.world import find
    from spice.cli.progress import reporter
    from spice.training.process import prepare

    place = find(world)
    prepare(0)
    made: dict[str, str] = {}
    with reporter(as_json) as progress:
        for seed in chosen:
            name = warmstarts.name(place, seed)
            step = partial(_step, progress, name)
            made[name] = str(warmstarts.ensure(place, seed, step, anew=anew))
        strong = warmstarts.strong_name(place)
        made[strong] = str(warmstarts.ensure_strong(place, partial(_step, progress, strong), anew=anew))
    emit(made, "\n".join(f"{name}: {folder}" for name, folder in made.items()), as_json)


def _step(progress: Progress, what: str, done: int, total: int) -> None:
    progress(done, total, what)


@contextmanager
def _continued() -> Iterator[None]:
    """Say after Ctrl-C how to go on."""
    try:
        yield
    except KeyboardInterrupt as interrupt:
        raise Interrupted(
            "interrupted; every arm is kept as far as it came. Type the same again to go on"
        ) from interrupt


def _arms(
    recipes: tuple[RecipeName, ...],
    seeds: tuple[int, ...],
    world: str,
    sets: tuple[str, ...],
    variants: list[tuple[str, tuple[str, ...]]],
) -> list[Arm]:
    from spice.arena.arm import Arm

    return [
        *(Arm(world, recipe, seed, sets) for recipe in recipes for seed in seeds),
        *(Arm(world, "spice", seed, (*sets, *more), label) for label, more in variants for seed in seeds),
    ]


def _tuned(
    arms: list[Arm], world: str, sets: tuple[str, ...], place: StoreConfig, jobs: int | None, progress: Progress
) -> tuple[list[Arm], dict[str, dict[str, float]]]:
    """The same arms, each with the learning rate that the search found for its recipe, and what was found."""
    from dataclasses import replace

    from spice.arena import tune

    found = tune.search(list(dict.fromkeys(arm.recipe for arm in arms)), world, sets, place, jobs, progress)
    tuned = [replace(arm, sets=(tune.best(found[arm.recipe]), *arm.sets)) for arm in arms]
    return tuned, tune.published(found)


def _publish(found: Comparison, place: StoreConfig, as_json: bool) -> None:
    """Store table and figures, and print the table."""
    from spice.arena import page
    from spice.arena.table import markdown
    from spice.store import open_store

    opened = open_store(place)
    name = f"arena/{found.world}-{len(found.rows)}x{len(found.seeds)}"
    text = markdown(found)
    files = {"md": text, "json": found.model_dump_json(indent=2), "html": page.render(found), "svg": page.svg(found)}
    for ending, content in files.items():
        opened.put(f"{name}.{ending}", content.encode())
    where = f"{opened.url.rstrip('/')}/{name}"
    result: dict[str, Any] = {**found.model_dump(), "files": [f"{where}.{ending}" for ending in files]}
    emit(result, f"{text}\n\nTable and figures: {where}.html (.md, .json, .svg)", as_json)


def _recipes(text: str) -> tuple[RecipeName, ...]:
    return ALL if text == "all" else tuple(dict.fromkeys(_known(name.strip()) for name in text.split(",")))


def _known(name: str) -> RecipeName:
    for recipe in ALL:
        if name == recipe:
            return recipe
    raise ConfigError(f"there is no recipe {name!r} in the arena; recipes are {', '.join(ALL)}")


def _seeds(text: str) -> tuple[int, ...]:
    try:
        found = tuple(int(part) for part in text.removesuffix(",").split(","))
    except ValueError:
        found = ()
    if len(found) == 1 and "," not in text:
        found = tuple(range(found[0]))
    if not found or min(found) < 0 or len(set(found)) < len(found):
        raise ConfigError(
            f"--seeds {text!r}: give how many, such as 3, or which, such as 7,8,9 or 7, alone; no two alike"
        )
    return found


def _variant(text: str) -> tuple[str, tuple[str, ...]]:
    label, colon, settings = text.partition(":")
    if not (_LABEL.fullmatch(label) and colon and settings):
        raise ConfigError(
            f"--variant {text!r}: write it as NAME:section.key=value, more settings after semicolons; the name is of "
            "letters, digits, spaces, dots, dashes and _"
        )
    return label, tuple(settings.split(";"))
