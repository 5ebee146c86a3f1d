from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from spice.config import Config
from spice.errors import ConfigError
from spice.settings import FIELDS, load_preset, presets, resolve, settings


def test_defaults_are_the_tree_itself() -> None:
    resolved = resolve()
    assert resolved.config == Config()
    assert set(resolved.origins.values()) == {"default"}


def test_each_source_wins_over_the_one_before(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("recipe: {group_size: 5, attempts: 5, few_shot: 1}\nseed: 5\n")
    environ = {"SPICE_RECIPE__GROUP_SIZE": "6", "SPICE_RECIPE__ATTEMPTS": "6"}
    resolved = resolve("laptop", file, environ, ["recipe.group_size=7"])
    recipe = resolved.config.recipe
    assert (recipe.group_size, recipe.attempts, recipe.few_shot, recipe.max_attempts) == (7, 6, 1, 4)
    wanted = {
        "recipe.group_size": "--set",
        "recipe.attempts": "environment SPICE_RECIPE__ATTEMPTS",
        "recipe.few_shot": f"file {file}",
        "recipe.max_attempts": "preset laptop",
        "recipe.invalid_reward": "default",
    }
    assert {key: resolved.origins[key] for key in wanted} == wanted


def test_the_last_of_two_assignments_wins() -> None:
    assert resolve(sets=["seed=1", "seed=2"]).config.seed == 2


@dataclass(frozen=True)
class Accepted:
    name: str
    key: str
    text: str
    expected: object


ACCEPTED = [
    Accepted("integer", "recipe.group_size", "4", 4),
    Accepted("float without a dot", "learner.learning_rate", "3e-5", 3e-5),
    Accepted("bool", "store.secure", "false", False),
    Accepted("text of digits stays text", "model.revision", "0123456", "0123456"),
    Accepted("text with an equals sign", "model.name", "a=b", "a=b"),
    Accepted("null where nothing is allowed", "model.revision", "null", None),
    Accepted("null as text where it is not", "model.name", "null", "null"),
    Accepted("list, YAML", "recipe.formats", "[free_form, multiple_choice]", ("free_form", "multiple_choice")),
    Accepted("list, commas", "evaluation.suites", "a.jsonl, b.jsonl", ("a.jsonl", "b.jsonl")),
    Accepted("list of one", "recipe.formats", "free_form", ("free_form",)),
    Accepted("empty list", "evaluation.suites", "", ()),
    Accepted("pair", "learner.betas", "0.8,0.9", (0.8, 0.9)),
    Accepted("three levels", "learner.lora.rank", "8", 8),
]


@pytest.mark.parametrize("case", ACCEPTED, ids=lambda case: case.name)
def test_text_becomes_a_value(case: Accepted) -> None:
    variable = "SPICE_" + case.key.upper().replace(".", "__")
    for resolved in (resolve(sets=[f"{case.key}={case.text}"]), resolve(environ={variable: case.text})):
        found = {item.key: item.value for item in settings(resolved)}
        assert found[case.key] == case.expected


@dataclass(frozen=True)
class Refused:
    name: str
    says: list[str]
    sets: list[str] = field(default_factory=list)
    environ: dict[str, str] = field(default_factory=dict)
    file: str | None = None
    preset: str | None = None


REFUSED = [
    Refused("misspelt key", ["recipe.group_sise", "--set", "recipe.group_size"], sets=["recipe.group_sise=4"]),
    Refused("key without its section", ["group_size", "recipe.group_size"], sets=["group_size=4"]),
    Refused("key in a wrong section", ["learner.group_size", "recipe.group_size"], sets=["learner.group_size=4"]),
    Refused(
        "one underscore", ["SPICE_RECIPE_GROUP_SIZE", "recipe.group_size"], environ={"SPICE_RECIPE_GROUP_SIZE": "4"}
    ),
    Refused("misspelt in file", ["file", "recipe.group_size"], file="recipe: {group_sice: 4}"),
    Refused("section as value", ["recipe", "group of settings"], sets=["recipe=4"]),
    Refused("section as list", ["recipe", "group of settings"], file="recipe: [1, 2]"),
    Refused(
        "below its range",
        ["recipe.group_size = 0", "--set", "greater than or equal to 1", "answers per task"],
        sets=["recipe.group_size=0"],
    ),
    Refused("not a choice", ["recipe.template", "'full', 'short' or 'ladder'"], sets=["recipe.template=long"]),
    Refused("not a choice in a list", ["recipe.formats", "multiple_choice"], sets=["recipe.formats=essay"]),
    Refused("not a number", ["learner.learning_rate", "number"], sets=["learner.learning_rate=fast"]),
    Refused("infinite", ["learner.learning_rate", "finite"], sets=["learner.learning_rate=.inf"]),
    Refused("null for a number", ["seed", "integer"], file="seed: null"),
    Refused("no assignment", ["'seed'", "--set section.key=value"], sets=["seed"]),
    Refused("broken YAML value", ["recipe.formats", "YAML"], sets=["recipe.formats=[a"]),
    Refused("broken YAML file", ["not valid YAML"], file="recipe: {"),
    Refused("key given twice", ["'seed' is given twice"], file="seed: 1\nseed: 2"),
    Refused("a list as key", ["not valid YAML"], file="? [a]\n: 1"),
    Refused("not a mapping", ["must hold a mapping"], file="- 1"),
    Refused("code in YAML", ["not valid YAML"], file="seed: !!python/object/apply:os.getpid []"),
    Refused("unknown preset", ["'laptob'", "laptop", "smoke"], preset="laptob"),
    Refused(
        "two problems at once", ["recipe.group_sise", "learner.clip"], sets=["recipe.group_sise=4", "learner.clip=0"]
    ),
]


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.name)
def test_a_mistake_is_explained(case: Refused, tmp_path: Path) -> None:
    file = None
    if case.file is not None:
        file = tmp_path / "file.yaml"
        file.write_text(case.file)
    with pytest.raises(ConfigError) as caught:
        resolve(case.preset, file, case.environ, case.sets)
    for part in case.says:
        assert part in str(caught.value)


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"], ids=["missing", "not text"])
def test_an_unreadable_file_is_named(content: bytes | None, tmp_path: Path) -> None:
    file = tmp_path / "gone.yaml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=r"gone\.yaml"):
        resolve(file=file)


def test_an_empty_file_sets_nothing(tmp_path: Path) -> None:
    file = tmp_path / "empty.yaml"
    file.write_text("recipe:\n  # nothing yet\n")
    assert resolve(file=file).config == Config()


def test_variables_that_are_no_settings_are_left_alone() -> None:
    environ = {
        "SPICE_HOME": "/home",
        "SPICE_CACHE": "/cache",
        "SPICE_PRESET": "smoke",
        "SPICE_S3_SECRET_KEY": "secret",
        "SPICE_GATEWAY_SERVICE_HOST": "10.0.0.1",
        "SPICE_GATEWAY_SERVICE_PORT_HTTP": "80",
        "SPICE_GATEWAY_PORT": "tcp://10.0.0.1:80",
        "SPICE_GATEWAY_PORT_80_TCP_ADDR": "10.0.0.1",
        "HOME": "/home",
    }
    assert resolve(environ=environ).config == Config()


def test_a_setting_that_ends_like_a_variable_of_kubernetes_is_a_setting() -> None:
    assert resolve(environ={"SPICE_SERVING__PORT": "9999"}).config.serving.port == 9999


@pytest.mark.parametrize("name", presets())
def test_every_preset_resolves(name: str) -> None:
    resolved = resolve(name)
    assert load_preset(name).description
    assert f"preset {name}" in resolved.origins.values()


def test_the_full_size_presets_have_the_papers_settings() -> None:
    config = resolve("qwen3-8b").config
    assert (config.recipe.batch_documents, config.recipe.group_size, config.recipe.max_attempts) == (128, 8, 1024)
    assert (config.training.iterations, config.learner.learning_rate, config.recipe.temperature) == (640, 1e-6, 1.0)
    assert (config.recipe.template, config.corpus.segment_tokens) == ("full", 5992)


@pytest.mark.parametrize("name", presets())
def test_only_presets_for_gpu_nodes_ask_for_other_packages(name: str) -> None:
    config = resolve(name).config
    chosen = (config.rollout.engine, config.learner.backend, config.rollout.overlap)
    on_gpus = name.startswith(("qwen3", "octothinker"))
    assert chosen == (("vllm", "deepspeed", True) if on_gpus else ("transformers", "torch", False))


def test_every_setting_is_explained() -> None:
    assert [item.key for item in settings(resolve()) if not item.description] == []
    assert [item.key for item in settings(resolve())] == list(FIELDS)


@given(st.sampled_from(["smoke", "laptop", "qwen3-4b"]), st.integers(0, 2**31), st.integers(1, 64))
def test_a_stored_configuration_gives_itself_again(preset: str, seed: int, group: int) -> None:
    """A run can be repeated from its resolved configuration alone, through JSON and through YAML."""
    config = resolve(preset, sets=[f"seed={seed}", f"recipe.group_size={group}"]).config
    tree = config.model_dump(mode="json")
    assert Config.model_validate(yaml.safe_load(yaml.safe_dump(tree))) == config
    assert Config.model_validate_json(config.model_dump_json()) == config


def test_a_stored_configuration_can_be_given_as_a_file(tmp_path: Path) -> None:
    config = resolve("laptop", sets=["learner.learning_rate=1e-06"]).config
    file = tmp_path / "config.json"
    file.write_text(config.model_dump_json())
    assert resolve("smoke", file).config == config
