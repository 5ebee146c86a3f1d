"""Every system that is trained here, as data (paper section 4).

All of them are points of one space: who poses the tasks, what it poses them
from, who says what is right, and how both roles are paid and compared. The loop
reads these fields and knows no recipe by its name.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from spice.config import ChallengerReward, Estimator, RecipeConfig, RecipeName
from spice.errors import ConfigError

ChallengerWeights = Literal["shared", "own", "frozen", "other", "none"]
TaskSource = Literal["documents", "nothing", "programs", "question_set"]
Labels = Literal["challenger", "majority", "executor", "question_set"]
ReasonerReward = Literal["correct", "composite", "random"]


@dataclass(frozen=True)
class Recipe:
    """One system.

    Attributes:
        challenger: whose weights pose the tasks: the Reasoner's own (shared), a second copy that is trained too (own),
            the base as it was (frozen), another model that is not trained (other), or nobody (none).
        source: what tasks are made from.
        labels: whose answer counts as gold.
        reward: what a valid task earns; `None` if the Challenger does not learn.
        invalid_reward: what an attempt earns that is no valid task.
        malformed_reward: what it earns if it could not even be parsed.
        repetition_penalty: less pay for questions that are like others of the batch (R-Zero).
        reasoner_reward: correct: 1 or 0; composite: 1, -0.5, or -1 without a readable answer (Absolute Zero);
            random: a fair coin.
        estimator: how rewards become advantages, see `spice.selfplay.advantages`.
        alternating: one role learns at a time, each for a number of iterations (R-Zero).
    """

    challenger: ChallengerWeights
    source: TaskSource
    labels: Labels
    reward: ChallengerReward | None
    invalid_reward: float = -0.1
    malformed_reward: float = -0.1
    repetition_penalty: bool = False
    reasoner_reward: ReasonerReward = "correct"
    estimator: Estimator = "drgrpo"
    alternating: bool = False

    @property
    def challenger_learns(self) -> bool:
        """Whether the Challenger's weights change."""
        return self.challenger in ("shared", "own")


SPICE = Recipe(challenger="shared", source="documents", labels="challenger", reward="variance")

RECIPES: dict[RecipeName, Recipe] = {
    "spice": SPICE,
    "strong_challenger": replace(SPICE, challenger="other", reward=None),
    "fixed_challenger": replace(SPICE, challenger="frozen", reward=None),
    "no_corpus": replace(SPICE, source="nothing"),
    "r_zero": Recipe(
        challenger="own",
        source="nothing",
        labels="majority",
        reward="r_zero",
        invalid_reward=-1.0,
        malformed_reward=-1.0,
        repetition_penalty=True,
        estimator="grpo",
        alternating=True,
    ),
    "absolute_zero": Recipe(
        challenger="shared",
        source="programs",
        labels="executor",
        reward="absolute_zero",
        invalid_reward=-0.5,
        malformed_reward=-1.0,
        reasoner_reward="composite",
        estimator="reinforce_plus_plus",
    ),
    "rlvr": Recipe(challenger="none", source="question_set", labels="question_set", reward=None),
    "random_reward": replace(SPICE, reward="random", reasoner_reward="random"),
}


def resolve(config: RecipeConfig) -> Recipe:
    """The recipe that a configuration names, with the parts that it replaces (the ablation axes).

    Raises:
        ConfigError: the recipe needs a field that is not given, or a field is given that it has no use for.
    """
    recipe = RECIPES[config.name]
    if (config.challenger_model is None) == (recipe.challenger == "other"):
        raise ConfigError(
            "recipe.challenger_model names the model that poses the tasks of the recipe strong_challenger, and of no "
            f"other; the recipe is {config.name}. Set both or neither."
        )
    if (config.question_set is None) == (recipe.source == "question_set"):
        raise ConfigError(
            "recipe.question_set names the JSONL file of the recipe rlvr, and of no other; the recipe is "
            f"{config.name}. Set both or neither."
        )
    if config.sampling == "frontier" and recipe.source != "documents":
        raise ConfigError(
            f"recipe.sampling=frontier chooses documents, and the recipe {config.name} has none. Leave it out."
        )
    if config.sampling == "frontier" and config.mixture:
        raise ConfigError(
            "recipe.sampling=frontier draws by what was earned and recipe.mixture by weights of sources. Leave one out."
        )
    if not recipe.challenger_learns and (config.reward, config.invalid_reward) != (None, None):
        raise ConfigError(
            f"The Challenger of the recipe {config.name} does not learn, so recipe.reward and recipe.invalid_reward "
            "mean nothing. Leave them out."
        )
    if config.reward is not None:
        recipe = replace(recipe, reward=config.reward)
    if config.invalid_reward is not None:
        recipe = replace(recipe, invalid_reward=config.invalid_reward, malformed_reward=config.invalid_reward)
    return replace(recipe, estimator=config.estimator or recipe.estimator)


def learning_roles(recipe: Recipe, config: RecipeConfig, iteration: int) -> tuple[bool, bool]:
    """Whether the Challenger and the Reasoner learn in an iteration, counted from 1."""
    if not recipe.alternating:
        return recipe.challenger_learns, True
    place = (iteration - 1) % (config.challenger_phase + config.reasoner_phase)
    return place < config.challenger_phase, place >= config.challenger_phase
