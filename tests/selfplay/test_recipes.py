import pytest

from spice.config import RecipeConfig
from spice.errors import ConfigError
from spice.selfplay.recipes import RECIPES, SPICE, learning_roles, resolve


def test_every_name_is_a_recipe():
    assert set(RECIPES) == set(RecipeConfig.model_fields["name"].annotation.__args__)
    assert resolve(RecipeConfig()) == SPICE


@pytest.mark.parametrize(
    ("fields", "attribute", "value"),
    [
        ({"reward": "threshold"}, "reward", "threshold"),
        ({"invalid_reward": -0.5}, "invalid_reward", -0.5),
        ({"invalid_reward": -0.5}, "malformed_reward", -0.5),
        ({"estimator": "group_mean"}, "estimator", "group_mean"),
        ({"name": "r_zero", "estimator": "drgrpo"}, "estimator", "drgrpo"),
        ({"name": "no_corpus", "reward": "r_zero"}, "source", "nothing"),
    ],
)
def test_an_ablation_replaces_one_part(fields, attribute, value):
    assert getattr(resolve(RecipeConfig(**fields)), attribute) == value


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"name": "strong_challenger"}, "challenger_model"),
        ({"challenger_model": "tiny"}, "challenger_model"),
        ({"name": "rlvr"}, "question_set"),
        ({"question_set": "q.jsonl"}, "question_set"),
        ({"name": "fixed_challenger", "reward": "threshold"}, "does not learn"),
    ],
)
def test_a_field_that_is_missing_or_means_nothing_is_refused(fields, word):
    with pytest.raises(ConfigError, match=word):
        resolve(RecipeConfig(**fields))


def test_roles_of_r_zero_take_turns():
    recipe = RecipeConfig(name="r_zero", challenger_phase=2, reasoner_phase=3)

    turns = [learning_roles(resolve(recipe), recipe, iteration) for iteration in range(1, 8)]

    challenger, reasoner = (True, False), (False, True)
    assert turns == [challenger, challenger, reasoner, reasoner, reasoner, challenger, challenger]


@pytest.mark.parametrize(
    ("name", "roles"), [("spice", (True, True)), ("fixed_challenger", (False, True)), ("rlvr", (False, True))]
)
def test_roles_of_the_others_learn_together_or_not_at_all(name, roles):
    recipe = RecipeConfig(name=name)

    assert learning_roles(RECIPES[name], recipe, 1) == roles
