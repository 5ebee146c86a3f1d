"""Who poses the tasks: the policy itself, or a Challenger with weights of its own.

Most recipes share one set of weights between the roles. The others sit a second
model down as Challenger: the base as it was, another model, or a copy of the
base that is trained beside the Reasoner.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from spice.config import Config
from spice.errors import ConfigError
from spice.learner.base import Captured, Learner
from spice.learner.ranks import ALONE, Ranks
from spice.learner.torch_learner import TorchLearner
from spice.models.catalog import locate
from spice.models.loading import load_model, load_tokenizer
from spice.rollout.base import Engine
from spice.rollout.open import open_engine
from spice.selfplay import recipes
from spice.store.base import ObjectStore
from spice.store.canonical import JSON
from spice.training.checkpoints import store_base, store_checkpoint
from spice.training.iteration import Seat
from spice.training.play import Players

OWN_STATE = "challenger"
_CAP = 2.0  # of importance weights, where rollouts are one update old


@dataclass(frozen=True)
class _Captured:
    """The states of all learners of a run at one moment."""

    policy: Captured
    challenger: Captured | None

    def write(self, folder: Path) -> None:
        """See `spice.learner.base.Captured`."""
        self.policy.write(folder)
        if self.challenger:
            self.challenger.write(folder / OWN_STATE)


class Learners:
    """Everything of a run that learns, captured and taken up as one."""

    def __init__(self, policy: Learner, challenger: Learner | None) -> None:
        """Take the policy's learner, and the Challenger's where it has one of its own."""
        self._policy = policy
        self._challenger = challenger

    def capture(self) -> Captured:
        """The state of all learners; see `spice.learner.base.Learner`."""
        return _Captured(self._policy.capture(), self._challenger.capture() if self._challenger else None)

    def load(self, folder: Path) -> None:
        """Take up what was captured; see `spice.learner.base.Learner`."""
        self._policy.load(folder)
        if self._challenger:
            self._challenger.load(folder / OWN_STATE)


def open_learner(folder: Path, config: Config, ranks: Ranks = ALONE) -> Learner:
    """A learner that begins with the model in `folder`. Raises `ConfigError`."""
    recipe = config.recipe
    budgets = {"challenger": recipe.challenger_tokens, "reasoner": recipe.reasoner_tokens}
    model = load_model(folder, "float32", config.model.device)
    settings = config.learner
    if config.training.off_policy_steps:
        if recipe.updates_per_iteration > 1:
            raise ConfigError(
                "training.off_policy_steps=1 corrects one update for its old rollouts; set "
                "recipe.updates_per_iteration=1, or training.off_policy_steps=0."
            )
        settings = settings.model_copy(update={"importance_cap": settings.importance_cap or _CAP})
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)  # adapters begin at random
        if config.learner.backend == "deepspeed":
            from spice.learner.deepspeed_learner import DeepSpeedLearner

            return DeepSpeedLearner(model, settings, budgets, ranks)
        return TorchLearner(model, settings, budgets, ranks)


def open_seat(
    base_folder: Path,
    config: Config,
    store: ObjectStore,
    sit: Callable[[Engine, object], Players],
    ranks: Ranks = ALONE,
) -> Seat | None:
    """The Challenger's own place at the table, or `None` where it shares the policy's weights.

    Args:
        base_folder: the base model's folder.
        config: the run's configuration.
        store: where a Challenger that is a checkpoint lies.
        sit: makes the players of an engine and its tokenizer.
        ranks: who trains beside this process.

    Raises:
        ModelError: there is no such Challenger.
    """
    weights = recipes.resolve(config.recipe).challenger
    if weights in ("shared", "none"):
        return None
    folder = challenger_folder(base_folder, config, store)
    engine = open_engine(folder, config.model, config.rollout)
    learner = open_learner(folder, config, ranks) if weights == "own" else None
    return Seat(sit(engine, load_tokenizer(folder)), engine, learner)


def challenger_folder(base_folder: Path, config: Config, store: ObjectStore) -> Path:
    """The folder of the model that the Challenger begins with."""
    name = config.recipe.challenger_model
    if name is None:
        return base_folder
    return locate(config.model.model_copy(update={"name": name, "revision": None}), store)


def store_seat(
    store: ObjectStore, weights: Mapping[str, torch.Tensor] | None, base: str, folder: Path, config: Config
) -> str:
    """Put the Challenger as it is now into the store; returns its reference.

    Weights that did not change since the last time have the same reference.

    Args:
        store: where to.
        weights: of a Challenger that learns, as `host_weights` gives them; `None` if it does not.
        base: reference of the base model.
        folder: of the model that the Challenger began with.
        config: the run's configuration.
    """
    if weights is not None:
        fields: dict[str, JSON] = {
            "base": base,
            "role": "challenger",
            "recipe": config.recipe.name,
        }
        return store_checkpoint(store, weights, folder, config.model.dtype, fields)
    name = config.recipe.challenger_model
    return base if name is None else store_base(store, folder, config.model.model_copy(update={"name": name}))
