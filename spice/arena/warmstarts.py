"""Where warm starts are found: made once for each world and seed, and kept in the user's cache folder."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from spice.arena import warmup
from spice.arena.world import World
from spice.models.catalog import warm_start_folder

COUNT = 3
"""How many warm starts a comparison uses: seed s begins with number s modulo this."""
VERSION = 1
"""Raised when the model, the lessons or the world change: older warm starts are not taken any more."""


def name(world: World, seed: int) -> str:
    """What the warm start of a comparison's seed is called, as a model's name too."""
    return f"arena-{world.name}-{seed % COUNT}-v{VERSION}"


def ensure(world: World, seed: int, report: warmup.Report = lambda _done, _total: None) -> Path:
    """The folder of the warm start that a comparison's seed begins with; trained now if it is not in the cache."""
    target = warm_start_folder(name(world, seed))
    if (target / "config.json").is_file():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=".building-", dir=target.parent))
    try:
        warmup.build(work, world, seed % COUNT, report=report)
        try:
            work.rename(target)
        except OSError:
            # Another process was first; its folder is as good as ours.
            if not (target / "config.json").is_file():
                raise
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return target
