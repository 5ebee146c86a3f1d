"""The compiled pipelines: what is committed is what the sources say, and the rules that every pipeline keeps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("kfp", reason="NO KFP: install the kubeflow extra to compile the pipelines")

from spice.errors import ConfigError
from spice.kubeflow import compiling

REPO = Path(__file__).parents[2]
COMMITTED = REPO / "pipelines/compiled"
DECISIONS = {"gate", "request-promotion", "verify", "promote", "rollback", "continue-from", "record-outcome"}
REPEATABLE = {"ingest", "read-shard", "merge-shards", "train", "evaluate", "continue-from", "compare", "drift-check"}
SIGNS = {"gate": "spice-keys-request", "request-promotion": "spice-keys-request"} | dict.fromkeys(
    ("promote", "rollback"), "spice-keys-promote"
)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compiled")
    compiling.compile_all(folder)
    return folder


def tasks(path: Path) -> dict[str, dict[str, Any]]:
    """Every task of a compiled pipeline, at whatever depth, with its container."""
    spec, platform = yaml.safe_load_all(path.read_text())
    executors = spec["deploymentSpec"]["executors"]
    kubernetes = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    dags = [spec["root"]["dag"], *(one["dag"] for one in spec["components"].values() if "dag" in one)]
    found = {}
    for dag in dags:
        for name, task in dag["tasks"].items():
            label = spec["components"][task["componentRef"]["name"]].get("executorLabel")
            if label:
                found[name] = task | {"executor": executors[label]["container"], "pod": kubernetes[label]}
    return found


def every_task() -> list[Any]:
    return [
        pytest.param(name, task, id=f"{path.stem}: {name}")
        for path in sorted(COMMITTED.glob("*.yaml"))
        for name, task in tasks(path).items()
    ]


@pytest.mark.parametrize("name", compiling.PIPELINES)
def test_what_is_committed_is_what_the_sources_say(name: str, compiled: Path) -> None:
    assert (compiled / f"{name}.yaml").read_text() == (COMMITTED / f"{name}.yaml").read_text(), (
        "compile again: spice pipeline compile"
    )


def test_nothing_else_is_committed() -> None:
    assert {path.stem for path in COMMITTED.iterdir()} == set(compiling.PIPELINES)


@pytest.mark.parametrize(("name", "task"), every_task())
def test_nothing_is_cached_but_evaluations(name: str, task: dict[str, Any]) -> None:
    assert task["cachingOptions"].get("enableCache", False) is (name == "evaluate")


@pytest.mark.parametrize(("name", "task"), every_task())
def test_only_what_may_be_repeated_is_tried_again(name: str, task: dict[str, Any]) -> None:
    assert ("retryPolicy" in task) is (name in REPEATABLE)


@pytest.mark.parametrize(("name", "task"), every_task())
def test_every_pod_has_bounds_and_only_its_own_stages_secrets(name: str, task: dict[str, Any]) -> None:
    resources = task["executor"]["resources"]
    assert {
        "resourceCpuLimit",
        "resourceMemoryLimit",
        "resourceCpuRequest",
        "resourceMemoryRequest",
    } <= resources.keys()
    assert ("accelerator" in resources) is (name in ("train", "evaluate"))
    stage = task["pod"]["podMetadata"]["labels"]["spice.platform/stage"]
    (secret,) = task["pod"]["secretAsEnv"]
    assert (secret["secretName"], secret["optional"]) == (f"spice-store-{stage}", True)
    keys = [one["secretName"] for one in task["pod"].get("secretAsVolume", [])]
    assert keys == ([SIGNS[name]] if name in SIGNS else [])


@pytest.mark.parametrize("name", compiling.PIPELINES)
def test_every_field_of_the_form_explains_itself(name: str) -> None:
    spec = next(yaml.safe_load_all((COMMITTED / f"{name}.yaml").read_text()))
    fields = spec["root"]["inputDefinitions"]["parameters"]
    assert [field for field, one in fields.items() if len(one.get("description", "")) < 15] == []
    for component in spec["components"].values():
        if "executorLabel" in component:
            inputs = component["inputDefinitions"]["parameters"]
            assert [field for field, one in inputs.items() if not one.get("description")] == []


@pytest.mark.parametrize("path", sorted(COMMITTED.glob("*.yaml")), ids=lambda path: path.stem)
def test_conditions_compare_what_a_component_returned(path: Path) -> None:
    """kfp.local skips a condition on a named output, and reports success."""
    conditions = [
        task["triggerPolicy"]["condition"]
        for component in [next(yaml.safe_load_all(path.read_text()))["root"]]
        for task in component["dag"]["tasks"].values()
        if "condition" in task.get("triggerPolicy", {})
    ]
    assert all("-Output']" in condition for condition in conditions)


@pytest.mark.parametrize("path", sorted(COMMITTED.glob("*.yaml")), ids=lambda path: path.stem)
def test_what_a_nested_task_reads_is_passed_down_to_it(path: Path) -> None:
    """The compiler forgets parameters that only a task's resources name, unless they are registered."""
    spec = next(yaml.safe_load_all(path.read_text()))
    for component in [spec["root"], *spec["components"].values()]:
        known = component.get("inputDefinitions", {}).get("parameters", {})
        for task in component.get("dag", {}).get("tasks", {}).values():
            for given in task.get("inputs", {}).get("parameters", {}).values():
                assert given.get("componentInputParameter", next(iter(known), None)) in {*known, None}


@pytest.mark.parametrize("path", sorted(COMMITTED.glob("*.yaml")), ids=lambda path: path.stem)
def test_loops_take_parameters_only(path: Path) -> None:
    """Where a loop takes what a task returned, kfp.local hands it the loop's item."""
    spec = next(yaml.safe_load_all(path.read_text()))
    for component in [spec["root"], *spec["components"].values()]:
        for task in component.get("dag", {}).get("tasks", {}).values():
            if "parameterIterator" in task:
                assert all("componentInputParameter" in given for given in task["inputs"]["parameters"].values())


def test_images_are_replaced_by_those_of_the_installation() -> None:
    path = COMMITTED / "selfplay.yaml"
    text = compiling.with_images(path, "r/spice@sha256:cpu", "r/spice@sha256:gpu")
    executors = next(yaml.safe_load_all(text))["deploymentSpec"]["executors"]
    images = {name.removeprefix("exec-"): one["container"]["image"] for name, one in executors.items()}
    assert {name for name, image in images.items() if image == "r/spice@sha256:gpu"} == {"train", "evaluate"}
    assert set(images.values()) == {"r/spice@sha256:cpu", "r/spice@sha256:gpu"}
    unchanged = list(yaml.safe_load_all(compiling.with_images(path, None, None)))
    assert unchanged == list(yaml.safe_load_all(path.read_text()))


def test_one_image_serves_both() -> None:
    text = compiling.with_images(COMMITTED / "promote.yaml", "r/spice:1", None)
    executors = next(yaml.safe_load_all(text))["deploymentSpec"]["executors"]
    assert {one["container"]["image"] for one in executors.values()} == {"r/spice:1"}


@pytest.mark.parametrize("text", ["", "a: b", "- 1", "{", "deploymentSpec: {executors: {a: {}}}"])
def test_what_is_no_pipeline_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(ConfigError, match="no compiled pipeline"):
        compiling.with_images(tmp_path / "x.yaml", "i", None)


def test_missing_sources_and_folders_are_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="source tree"):
        compiling.compile_all(tmp_path / "out", root=tmp_path)
    with pytest.raises(ConfigError, match="no compiled pipelines"):
        compiling.compiled(tmp_path)
    assert compiling.compiled() == COMMITTED
