"""The run around the iterations: open everything, play, record, checkpoint, resume."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Protocol

from pydantic import TypeAdapter, ValidationError

from spice.config import Config
from spice.errors import ConfigError, ConflictError, RefusedError, TrainingError
from spice.models.loading import load_tokenizer
from spice.rollout.base import Engine
from spice.rollout.open import open_engine
from spice.selfplay import recipes
from spice.selfplay.executor import Executor
from spice.selfplay.types import Document, Oracle
from spice.selfplay.verify import Verifier
from spice.store.base import ObjectStore
from spice.store.canonical import JSON
from spice.text.spans import SpanIndex
from spice.training.checkpoints import Pointer, State, restore, store_base, store_checkpoint
from spice.training.halting import STOPPED, HaltedError, halting, refuse_stopped
from spice.training.iteration import Pose, iterate
from spice.training.play import Players
from spice.training.posing import given_questions, keep_questions, kept_questions, read_questions
from spice.training.process import prepare
from spice.training.programs import ProgramPoser
from spice.training.records import Recorder
from spice.training.seats import Learners, challenger_folder, open_learner, open_seat, store_seat
from spice.training.stopping import Stopper
from spice.version import code_version

_INFO = TypeAdapter(dict[str, Any])
_RACES = 20


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
    documents: Sequence[Document],
    base_folder: Path,
    config: Config,
    run: str,
    *,
    resume: bool,
    progress: Progress,
    permitted: Callable[[], None],
    oracle: Oracle | None = None,
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
        progress: told after each iteration.
        permitted: raises `RefusedError` when training may not go on (kill-switch); asked before each iteration.
        oracle: grades every task for the record, where the true answers are known.

    Raises:
        ConfigError: the recipe lacks a field that it needs.
        TrainingError: the run exists already, cannot be resumed, or was taken over by another process.
        RefusedError: `permitted` said no, or an alarm was raised whose action is to pause or to stop; everything
            done so far was saved first.
        KeyboardInterrupt: Ctrl-C or SIGTERM; everything done so far was saved first.
    """
    permitted()
    recipes.resolve(config.recipe)
    documents = _subset(documents, config.recipe.sources)
    prepare(config.training.threads)
    base = store_base(store, base_folder, config.model)
    pointer = _begin(store, corpus, base, config, run, resume)
    state = pointer.state
    total = config.training.iterations
    checkpoints = state.checkpoints if state else ((0, base),)
    done = state.iteration if state else 0
    if done < total:
        recipe = config.recipe
        executor = Executor(recipe.program_seconds, recipe.program_bytes)
        with Stopper() as stopper, Verifier(recipe.verify_seconds, executor=executor) as verifier:
            table = _Table(store, documents, base_folder, config, run, state, executor, verifier, oracle)
            progress(done, total, "train")
            while done < total:
                note = table.play(done + 1)
                done += 1
                refusal = _refusal(permitted) or table.halt(done)
                due = done % config.training.checkpoint_every == 0 or done == total
                if due:
                    checkpoints = (*checkpoints, (done, table.checkpoint(done, base, corpus)))
                if due or refusal or stopper.wanted:
                    pointer.advance(table.learners, done, checkpoints)
                progress(done, total, "train", note)
                if isinstance(refusal, HaltedError) and (done < total or refusal.status == STOPPED):
                    update_run(store, run, status=refusal.status)
                    raise refusal
                if refusal and done < total:
                    raise refusal
                if stopper.wanted and done < total:
                    raise KeyboardInterrupt
            table.recorder.finish(total)
    trained = Trained(run, base, checkpoints[-1][1], checkpoints)
    update_run(store, run, status="trained", checkpoint=trained.checkpoint)
    return trained


def update_run(store: ObjectStore, run: str, **fields: Any) -> None:
    """Change fields of `runs/<run>/run.json`, and no others, whoever else writes to it. Raises `TrainingError`."""
    key = f"runs/{run}/run.json"
    for _ in range(_RACES):
        data, etag = store.read(key) or (b"", "")
        try:
            info = _INFO.validate_json(data)
        except ValidationError as error:
            raise TrainingError(f"{key} in {store.url} is gone or is no JSON object; start a new run.") from error
        try:
            store.swap(key, json.dumps(info | fields, sort_keys=True).encode(), etag)
        except ConflictError:
            continue
        return
    raise TrainingError(f"{key} in {store.url} changes all the time; end the other processes of this run.")


class _Table:
    """Engine, learner and players of one run, in one state."""

    def __init__(
        self,
        store: ObjectStore,
        documents: Sequence[Document],
        base_folder: Path,
        config: Config,
        run: str,
        state: State | None,
        executor: Executor,
        verifier: Verifier,
        oracle: Oracle | None,
    ) -> None:
        self._store, self._documents, self._folder = store, documents, base_folder
        self._config, self._run, self._oracle = config, run, oracle
        index = SpanIndex((document.id, document.text) for document in documents)

        def sit(engine: Engine, tokenizer: Any) -> Players:
            return Players(engine, tokenizer, config.recipe, index, verifier)

        self._learner = open_learner(base_folder, config)
        self._engine = open_engine(base_folder, config.model, config.rollout)
        self._players = sit(self._engine, load_tokenizer(base_folder))
        self._challenger = open_seat(base_folder, config, store, sit)
        self.learners = Learners(self._learner, self._challenger.learner if self._challenger else None)
        self._pose = self._other_source(executor, state)
        self.recorder = Recorder(store, run, config.health)
        if state:
            restore(store, state, self.learners)
            self._engine.update_weights(self._learner.weights())
            if self._challenger and self._challenger.learner:
                self._challenger.engine.update_weights(self._challenger.learner.weights())
            self.recorder.recall(state.iteration)

    def play(self, iteration: int) -> str:
        """Play one iteration and record it; returns a few words on it."""
        outcome = iterate(
            iteration,
            self._documents,
            self._players,
            self._engine,
            self._learner,
            self._config.recipe,
            self._config.seed,
            challenger=self._challenger,
            pose=self._pose,
            oracle=self._oracle,
        )
        found = self.recorder.write(outcome)
        rate, reward = found["reasoner"]["pass_rate"], found["challenger"]["reward_mean"]
        words = f"valid {found['tasks']['valid']}/{found['challenger']['attempts']}"
        words += f", pass {rate:.2f}" if rate is not None else ""
        words += f", challenger {reward:+.2f}" if reward is not None else ""
        warnings = len(found["warnings"])
        return words + (f", {warnings} warning{'s' if warnings > 1 else ''}" if warnings else "")

    def halt(self, iteration: int) -> HaltedError | None:
        """Why the run must not go on by itself after its last iteration, if an alarm says so."""
        return halting(self.recorder.raised, self._config.health, self._run, iteration)

    def _other_source(self, executor: Executor, state: State | None) -> Pose | None:
        """What poses the tasks, or `None` if they come from the corpus or from nothing."""
        recipe = self._config.recipe
        match recipes.resolve(recipe).source:
            case "question_set":
                asked = kept_questions(self._store, self._run)
                return given_questions(asked, recipe.batch_documents, self._config.seed)
            case "programs":
                poser = ProgramPoser(recipe, executor)
                if state:
                    poser.recall(self._store, self._run, state.iteration)
                return poser
            case "documents" | "nothing":
                return None

    def checkpoint(self, iteration: int, base: str, corpus: str) -> str:
        """Store the policy as it is now; a Challenger with weights of its own is stored beside it, and named in it."""
        fields: dict[str, JSON] = {
            "base": base,
            "corpus": corpus,
            "run": self._run,
            "iteration": iteration,
            "code": code_version(),
            "recipe": self._config.recipe.name,
        }
        if self._challenger:
            folder = challenger_folder(self._folder, self._config, self._store)
            fields["challenger"] = store_seat(self._store, self._challenger, base, folder, self._config)
        return store_checkpoint(self._store, self._learner.weights(), self._folder, self._config.model.dtype, fields)


def _subset(documents: Sequence[Document], patterns: Sequence[str]) -> Sequence[Document]:
    """The documents whose file matches one of the patterns; all if there are none."""
    chosen = [d for d in documents if any(fnmatchcase(d.source, pattern) for pattern in patterns)]
    if patterns and not chosen:
        raise ConfigError(f"recipe.sources: no training document's file matches any of {', '.join(patterns)}.")
    return chosen if patterns else documents


def _begin(store: ObjectStore, corpus: str, base: str, config: Config, run: str, resume: bool) -> Pointer:
    """Enter a new run in the store, or take over an old one where it stands."""
    info = {"status": "training", "corpus": corpus, "base": base, "code": code_version()}
    if resume:
        refuse_stopped(store, run)
        pointer = Pointer(store, run)
        if pointer.state and pointer.state.checkpoints[0][1] != base:
            raise TrainingError(
                f"Run {run} began with another base model ({pointer.state.checkpoints[0][1]}); start a new run."
            )
        pointer.take_over()
        update_run(store, run, status="training")
        return pointer
    path = config.recipe.question_set
    given = read_questions(path) if path is not None else None
    try:
        store.create(f"runs/{run}/run.json", json.dumps(info, sort_keys=True).encode())
    except ConflictError as error:
        raise TrainingError(
            f"There is a run {run} already. Go on with --resume {run}, or choose another name."
        ) from error
    if given is not None:
        keep_questions(store, run, given)
    store.put(f"runs/{run}/config.json", json.dumps(config.model_dump(mode="json"), indent=2).encode())
    return Pointer(store, run)


def _refusal(permitted: Callable[[], None]) -> RefusedError | None:
    """Why training must stop now, if it must. It is raised only after the state is saved."""
    try:
        permitted()
    except RefusedError as refusal:
        return refusal
    return None
