"""Where warm starts are found: made once for each world and seed, and kept in the user's cache folder.

Those of the world `ladder` ship with the package, since each takes minutes to make; `spice arena warm-up --anew` makes
them again.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from importlib import resources
from pathlib import Path

from spice.arena import warmup
from spice.arena.corpus import question_set
from spice.arena.world import World
from spice.models.catalog import cache_folder, warm_start_folder

COUNT = 3
"""How many warm starts a comparison uses: seed s begins with number s modulo this."""
VERSION = 1
"""Raised when the model, the lessons or the world change: older warm starts are not taken any more."""


def name(world: World, seed: int) -> str:
    """What the warm start of a comparison's seed is called, as a model's name too."""
    return f"arena-{world.name}-{seed % COUNT}-v{VERSION}"


def strong_name(world: World) -> str:
    """What the frozen Challenger of the recipe `strong_challenger` is called."""
    return f"arena-{world.name}-strong-v{VERSION}"


def ensure_strong(world: World, report: warmup.Report = warmup.silent, *, anew: bool = False) -> Path:
    """The folder of the strong Challenger; the arguments are those of `ensure`."""
    return _ensure(strong_name(world), lambda folder: warmup.build_strong(folder, world, report=report), anew)


def questions_file(world: World) -> Path:
    """Where the question set of the recipe `rlvr` lies."""
    return cache_folder() / "arena" / f"{world.name}-questions-v{VERSION}.jsonl"


def ensure_questions(world: World) -> None:
    """Write the question set, if it is not in the cache."""
    target = questions_file(world)
    if not target.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as file:
            file.write(question_set(world))
        Path(file.name).replace(target)


def ensure(world: World, seed: int, report: warmup.Report = warmup.silent, *, anew: bool = False) -> Path:
    """The folder of the warm start that a comparison's seed begins with.

    Args:
        world: whose documents it reads.
        seed: of the comparison.
        report: told of progress where it has to be trained.
        anew: train it even if it is in the cache or ships with the package.
    """
    return _ensure(name(world, seed), lambda folder: warmup.build(folder, world, seed % COUNT, report=report), anew)


def _ensure(called: str, build: Callable[[Path], None], anew: bool) -> Path:
    target = warm_start_folder(called)
    if (target / "config.json").is_file() and not anew:
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=".building-", dir=target.parent))
    shipped = resources.files("spice.arena") / "weights" / called
    try:
        if shipped.is_dir() and not anew:
            for file in shipped.iterdir():
                (work / file.name).write_bytes(file.read_bytes())
        else:
            build(work)
        if anew:
            shutil.rmtree(target, ignore_errors=True)
        try:
            work.rename(target)
        except OSError:
            # Another process was first; its folder is as good as ours.
            if not (target / "config.json").is_file():
                raise
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return target
