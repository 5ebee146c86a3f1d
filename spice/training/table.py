"""Engine, learner and players of one run, in one state, as one rank holds them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spice.config import Config
from spice.learner.base import UpdateStats
from spice.learner.ranks import Ranks
from spice.models.loading import load_tokenizer
from spice.rollout.base import Engine, EngineStats
from spice.rollout.open import open_engine
from spice.selfplay import recipes
from spice.selfplay.executor import Executor
from spice.selfplay.frontier import Frontier
from spice.selfplay.selection import grouped
from spice.selfplay.types import Documents, Oracle
from spice.selfplay.verify import Verifier
from spice.store.base import ObjectStore
from spice.store.canonical import JSON
from spice.training import frontier, wire
from spice.training.ahead import Ahead
from spice.training.checkpoints import State, host_weights, restore, store_checkpoint
from spice.training.crew import Crew, posed_by_first
from spice.training.halting import HaltedError, halting
from spice.training.iteration import Pose, Rolled, learn, publish, roll_out
from spice.training.play import Players, span_index
from spice.training.posing import given_questions, kept_questions
from spice.training.programs import ProgramPoser
from spice.training.records import Recorder
from spice.training.seats import Learners, challenger_folder, open_learner, open_seat, store_seat
from spice.training.telemetry import open_sink
from spice.version import code_version

if TYPE_CHECKING:
    import torch


class Table:
    """Where one run is played. With several ranks each has one, and all make the same calls.

    Attributes:
        learners: everything that learns.
    """

    def __init__(
        self,
        store: ObjectStore,
        documents: Documents,
        base_folder: Path,
        config: Config,
        run: str,
        state: State | None,
        ranks: Ranks,
        executor: Executor,
        verifier: Verifier,
        oracle: Oracle | None,
    ) -> None:
        """Load the models, and put everything into `state`, or at the beginning if there is none."""
        self._store, self._documents, self._folder = store, documents, base_folder
        self._config, self._run, self._ranks, self._oracle = config, run, ranks, oracle
        # Players may be at work in a thread beside the learner, and then must not talk on its line.
        self._table_talk = ranks.aside() if config.training.off_policy_steps else ranks
        recipe = config.recipe
        drawn = recipes.resolve(recipe).source == "documents"
        index = span_index(documents if drawn else (), recipe)
        self._mixture = grouped(documents, recipe.mixture) if drawn and recipe.mixture else None

        def sit(engine: Engine, tokenizer: Any) -> Players:
            players = Players(engine, tokenizer, recipe, index, verifier, config.rollout.overlap)
            return players if ranks.size == 1 else Crew(players, self._table_talk)

        self._learner = open_learner(base_folder, config, ranks)
        self._engine = open_engine(base_folder, config.model, config.rollout)
        self._players = sit(self._engine, load_tokenizer(base_folder))
        self._challenger = open_seat(base_folder, config, store, sit, ranks)
        self.learners = Learners(self._learner, self._challenger.learner if self._challenger else None)
        self._pose = self._other_source(executor, state)
        self._frontier = Frontier(documents) if recipe.sampling == "frontier" else None
        self._recorder = Recorder(store, run, config.health, open_sink(config, run) if ranks.first else None)
        self._iterations = Ahead(self._roll, self._learn, self._publish, self._rest, time.monotonic)
        if state:
            restore(store, state, self.learners)
            self._engine.update_weights(self._learner.weights())
            if self._challenger and self._challenger.learner:
                self._challenger.engine.update_weights(self._challenger.learner.weights())
            if self._frontier:
                frontier.recall(self._frontier, store, run, state.iteration)
            if ranks.first:
                self._recorder.recall(state.iteration)

    def play(self, iteration: int) -> str:
        """Play one iteration, and record it on rank 0; returns a few words on it there, and none elsewhere."""
        training = self._config.training
        # What is rolled out ahead is not saved, so it must not span a saved state.
        ahead = training.off_policy_steps and iteration % training.checkpoint_every and iteration < training.iterations
        outcome = self._iterations.iterate(iteration, ahead=bool(ahead))
        parts = self._ranks.gather(wire.encode(outcome.rollout))
        if not self._ranks.first:
            return ""
        everywhere = sum((wire.decode(part, EngineStats) for part in parts), EngineStats())
        found = self._recorder.write(replace(outcome, rollout=everywhere), self._ranks.size)
        rate, reward = found["reasoner"]["pass_rate"], found["challenger"]["reward_mean"]
        words = f"valid {found['tasks']['valid']}/{found['challenger']['attempts']}"
        words += f", pass {rate:.2f}" if rate is not None else ""
        words += f", challenger {reward:+.2f}" if reward is not None else ""
        return words + (f", {len(found['warnings'])} warnings" if found["warnings"] else "")

    def halt(self, iteration: int) -> HaltedError | None:
        """Why the run must not go on by itself after its last iteration, if an alarm says so; rank 0 knows."""
        return halting(self._recorder.raised, self._config.health, self._run, iteration)

    def checkpoint(self, iteration: int, base: str, corpus: str) -> str:
        """Store the policy as it is now; a Challenger with weights of its own is stored beside it, and named in it.

        All ranks take part, and rank 0 writes.
        """
        first, dtype = self._ranks.first, self._config.model.dtype
        weights = host_weights(self._learner.weights(), dtype, keep=first)
        own = self._challenger.learner if self._challenger else None
        theirs = host_weights(own.weights(), dtype, keep=first) if own else None
        ref = self._write(weights, theirs, iteration, base, corpus) if first else ""
        return self._ranks.tell(ref.encode()).decode()

    def finish(self, iterations: int) -> None:
        """Leave the record of all iterations in one file."""
        if self._ranks.first:
            self._recorder.finish(iterations)

    def _roll(self, iteration: int) -> Rolled:
        rolled = roll_out(
            iteration,
            self._documents,
            self._players,
            self._engine,
            self._config.recipe,
            self._config.seed,
            challenger=self._challenger,
            pose=self._pose,
            oracle=self._oracle,
            scores=self._frontier.scores() if self._frontier else None,
            mixture=self._mixture,
        )
        if self._frontier:
            frontier.remember(self._frontier, rolled.played)
        return rolled

    def _rest(self) -> None:
        self._engine.rest()
        if self._challenger:
            self._challenger.engine.rest()

    def _learn(self, rolled: Rolled) -> UpdateStats:
        return learn(rolled, self._learner, self._challenger, self._config.recipe.updates_per_iteration)

    def _publish(self, rolled: Rolled) -> None:
        publish(rolled, self._engine, self._learner, self._challenger)

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
                return poser if self._ranks.size == 1 else posed_by_first(poser, self._table_talk)
            case "documents" | "nothing":
                return None

    def _write(
        self,
        weights: Mapping[str, torch.Tensor],
        theirs: Mapping[str, torch.Tensor] | None,
        iteration: int,
        base: str,
        corpus: str,
    ) -> str:
        """Put a policy's weights, and those of a Challenger that learns, into the store."""
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
            fields["challenger"] = store_seat(self._store, theirs, base, folder, self._config)
        return store_checkpoint(self._store, weights, self._folder, self._config.model.dtype, fields)
