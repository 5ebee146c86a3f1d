"""The run around the iterations: open everything, play, record, checkpoint, resume.

With several ranks every one of them is in here and makes the same calls. Rank 0
decides whether the run goes on, and writes the records and the checkpoints.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Protocol

from spice.config import Config
from spice.errors import ConfigError, RefusedError
from spice.learner.ranks import ALONE, Ranks
from spice.selfplay import recipes
from spice.selfplay.executor import Executor
from spice.selfplay.selection import matching, within_budget
from spice.selfplay.types import Documents, Oracle
from spice.selfplay.verify import Verifier
from spice.store.base import ObjectStore
from spice.training.checkpoints import Pointer, State, store_base
from spice.training.halting import STOPPED, HaltedError
from spice.training.process import prepare
from spice.training.record import begin, go_on, update_run
from spice.training.saving import Saver
from spice.training.stopping import Stopper
from spice.training.table import Table


class Progress(Protocol):
    """Called with steps done, steps in all, the phase, and a few words on the last step."""

    def __call__(self, done: int, total: int, what: str, note: str = "") -> None:
        """Say how far the work is."""
        ...


@dataclass(frozen=True)
class Trained:
    """What training left.

    Attributes:
        run: name of the run.
        base: reference of the base checkpoint.
        checkpoint: reference of the last one.
        checkpoints: (iteration, reference) of all, the base first.
    """

    run: str
    base: str
    checkpoint: str
    checkpoints: tuple[tuple[int, str], ...]


def train(
    store: ObjectStore,
    corpus: str,
    documents: Documents,
    base_folder: Path,
    config: Config,
    run: str,
    *,
    resume: bool,
    from_iteration: int | None = None,
    progress: Progress,
    permitted: Callable[[], None],
    oracle: Oracle | None = None,
    ranks: Ranks = ALONE,
) -> Trained:
    """Play all iterations of a run, or those that are left of it.

    Args:
        store: where everything goes.
        corpus: reference of the dataset version.
        documents: its training segments.
        base_folder: the base model's folder.
        config: the run's configuration.
        run: its name.
        resume: go on with a run of that name instead of starting one.
        from_iteration: go on after this iteration, whose state was kept; after the last one if none.
        progress: told after each iteration.
        permitted: raises `RefusedError` when training may not go on (kill-switch); asked before each iteration.
        oracle: grades every task for the record, where the true answers are known.
        ranks: the processes that train this run; all make this call, and rank 0's `resume` and settings hold.

    Raises:
        ConfigError: the recipe lacks a field that it needs.
        TrainingError: the run exists already, cannot be resumed, or was taken over by another process.
        StoreError: the store failed; the last state that was saved is in force.
        RefusedError: `permitted` said no, or an alarm was raised whose action is to pause or to stop; everything
            done so far was saved first.
        KeyboardInterrupt: Ctrl-C or SIGTERM, or rank 0 stopped for any reason; everything done so far was saved first.
    """
    permitted()
    config = Config.model_validate_json(ranks.tell(config.model_dump_json().encode()))
    recipes.resolve(config.recipe)
    documents = within_budget(_subset(documents, config.recipe.sources), config.recipe.document_budget)
    prepare(config.training.threads)
    pointer, base = None, ""
    if ranks.first:
        base = store_base(store, base_folder, config.model)
        pointer = go_on(store, base, run, from_iteration) if resume else begin(store, corpus, base, config, run)
    base = ranks.tell(base.encode()).decode()
    state = _told(pointer, ranks)
    total = config.training.iterations
    checkpoints = state.checkpoints if state else ((0, base),)
    done = state.iteration if state else 0
    if done < total:
        recipe = config.recipe
        executor = Executor(recipe.program_seconds, recipe.program_bytes)
        with (
            Stopper() as stopper,
            Verifier(recipe.verify_seconds, executor=executor) as verifier,
            Saver(store, run, pointer, ranks.aside(), config.training) as saver,
        ):
            table = Table(store, documents, base_folder, config, run, state, ranks, executor, verifier, oracle)
            progress(done, total, "train")
            while done < total:
                note = table.play(done + 1)
                done += 1
                refusal = (_refusal(permitted) or table.halt(done)) if ranks.first else None
                leaving = bool(ranks.tell(b"leave" if refusal or stopper.wanted else b""))
                due = done % config.training.checkpoint_every == 0 or done == total
                if due:
                    checkpoints = (*checkpoints, (done, table.checkpoint(done, base, corpus)))
                if due or leaving:
                    saver.save(table.learners.capture(), done, checkpoints)
                progress(done, total, "train", note)
                if isinstance(refusal, HaltedError) and (done < total or refusal.status == STOPPED):
                    saver.wait()
                    update_run(store, run, status=refusal.status)
                    raise refusal
                if leaving and done < total:
                    saver.wait()
                    raise refusal or KeyboardInterrupt
            saver.wait()
            table.finish(total)
    trained = Trained(run, base, checkpoints[-1][1], checkpoints)
    if ranks.first:
        update_run(store, run, status="trained", checkpoint=trained.checkpoint)
    return trained


def _subset(documents: Documents, patterns: Sequence[str]) -> Documents:
    """The documents whose file matches one of the patterns; all if there are none."""
    if not patterns:
        return documents
    chosen = matching(documents, (any(fnmatchcase(one.source, pattern) for pattern in patterns) for one in documents))
    if not len(chosen):
        raise ConfigError(f"recipe.sources: no training document's file matches any of {', '.join(patterns)}.")
    return chosen


def _told(pointer: Pointer | None, ranks: Ranks) -> State | None:
    """Where the run stands, which rank 0 has read."""
    known = pointer.state.model_dump_json().encode() if pointer and pointer.state else b""
    data = ranks.tell(known)
    return State.model_validate_json(data) if data else None


def _refusal(permitted: Callable[[], None]) -> RefusedError | None:
    """Why training must stop now, if it must. It is raised only after the state is saved."""
    try:
        permitted()
    except RefusedError as refusal:
        return refusal
    return None
