"""The learning rate of each recipe, by a search that is the same for all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from spice.arena.arm import Arm
from spice.arena.pool import play_all
from spice.config import RecipeName, StoreConfig
from spice.training.loop import Progress

GRID = (1e-4, 2e-4, 4e-4)
SEED = 1_000_005
"""No comparison's seed, so that nothing is chosen on what it is judged by. Its warm start ships with the package."""


def search(
    recipes: Sequence[RecipeName],
    world: str,
    sets: tuple[str, ...],
    store: StoreConfig,
    jobs: int | None,
    progress: Progress,
) -> dict[RecipeName, dict[float, float]]:
    """Play every recipe with every rate of `GRID`, one seed each, as long as in the comparison.

    Returns:
        Accuracy on the tuning questions, which are not those of the test, by recipe and rate.
    """

    def searched(done: int, total: int, what: str, note: str = "") -> None:
        del what
        progress(done, total, "search", note)  # a phase of its own, or it would count in the comparison's rate

    tried = [(recipe, rate) for recipe in recipes for rate in GRID]
    arms = [Arm(world, recipe, SEED, (*sets, _setting(rate)), part="tuning") for recipe, rate in tried]
    found: dict[RecipeName, dict[float, float]] = {recipe: {} for recipe in recipes}
    for (recipe, rate), result in zip(tried, play_all(arms, store, jobs, searched), strict=True):
        found[recipe][rate] = float(result.readings[-1].correct.mean())
    return found


def published(found: Mapping[RecipeName, Mapping[float, float]]) -> dict[str, dict[str, float]]:
    """What was found, with rates as they are written."""
    return {recipe: {f"{rate:g}": share for rate, share in by_rate.items()} for recipe, by_rate in found.items()}


def best(found: dict[float, float]) -> str:
    """The setting of the rate with the highest accuracy; the lower rate of two that are equal."""
    return _setting(max(sorted(found), key=lambda rate: found[rate]))


def _setting(rate: float) -> str:
    return f"learner.learning_rate={rate:g}"
