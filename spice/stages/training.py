"""The stage that lets a model improve itself."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from spice.config import Config
from spice.errors import ConfigError
from spice.models.catalog import locate
from spice.promotion.switch import require_disengaged
from spice.selfplay.types import Oracle
from spice.stages.opening import documents
from spice.store import open_store

if TYPE_CHECKING:
    from spice.training.loop import Progress, Trained


def train(
    corpus: str,
    config: Config,
    run: str,
    *,
    resume: bool = False,
    from_iteration: int | None = None,
    progress: Progress,
    oracle: Oracle | None = None,
    waiting: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Trained:
    """Let the model improve itself on a dataset version; see `spice.training.loop`.

    Where the true answers are known, an `oracle` grades every task; it measures and is never trained on.
    With `training.ranks` above 1 that many processes are started, unless `torchrun` has started this one already.

    Args:
        corpus: reference of the dataset version.
        config: of the run.
        run: its name.
        resume: go on with it.
        from_iteration: where to go on, if not from the last state.
        progress: told after each iteration.
        oracle: knows the true answers.
        waiting: a context in which this process, one of several ranks, waits for the others.

    Raises:
        RefusedError: the kill-switch is engaged or cannot be read, before or during training.
    """
    from spice.training.launch import is_rank, launch
    from spice.training.loop import Trained

    store = open_store(config.store)
    if config.training.ranks > 1 and not is_rank():
        if oracle is not None:
            raise ConfigError("training.ranks: where an oracle grades the tasks, one process trains; set it to 1.")
        require_disengaged(store)
        ending = launch(corpus, config, run, resume=resume, from_iteration=from_iteration, progress=progress)
        return Trained(run, ending.base, ending.checkpoints[-1][1], ending.checkpoints)

    from spice.learner.ranks import Ranks
    from spice.training.loop import train as play

    with Ranks.from_environment(waiting=waiting) as ranks, documents(store, corpus, "train") as passages:
        return play(
            store,
            corpus,
            passages,
            locate(config.model, store),
            config,
            run,
            resume=resume,
            from_iteration=from_iteration,
            progress=progress,
            permitted=lambda: require_disengaged(store),
            oracle=oracle,
            ranks=ranks,
        )
