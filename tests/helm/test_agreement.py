"""What the chart says of other parts of the product is what those parts say themselves."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.core import TyperGroup

from spice import __version__, cli
from spice.kubeflow import placement
from spice.settings import presets, resolve
from spice.store.policies import ROLES, policy

CHART = Path(__file__).parents[2] / "helm/spice"
CI = {path.name.removesuffix("-values.yaml"): path for path in sorted((CHART / "ci").glob("*-values.yaml"))}
Manifest = dict[str, Any]
Render = Callable[..., dict[str, list[Manifest]]]
PodSpecs = Callable[[list[Manifest]], Iterator[tuple[str, Manifest]]]

ROOT = Path(__file__).parents[2]


def test_the_chart_has_the_version_of_the_package() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["version"] == chart["appVersion"] == __version__


def test_tables_in_the_documents_are_current() -> None:
    done = subprocess.run(
        [sys.executable, "scripts/chart_docs.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_policies_of_the_store_are_those_of_the_package() -> None:
    files = {path.stem: json.loads(path.read_text()) for path in (CHART / "files/policies").glob("*.json")}
    assert files == {role: policy(role, "BUCKET", "PREFIX/") for role in ROLES}


@pytest.mark.parametrize(("url", "place"), [("s3://spice", ""), ("s3://spice/a/b", "a/b/"), ("s3://spice/a/", "a/")])
def test_policies_of_the_store_name_its_place(render: Render, url: str, place: str) -> None:
    found = render({"store": {"url": url}})["store/policies-configmap.yaml"][0]["data"]
    assert {name: json.loads(text) for name, text in found.items()} == {
        f"{role}.json": policy(role, "spice", place) for role in ROLES
    }


def test_everything_that_pipelines_refer_to_is_there(render: Render) -> None:
    found = {(e["kind"], e["metadata"]["name"]): e for each in render(ci="minimal").values() for e in each}
    assert found["ConfigMap", placement.STORE_CONFIG_MAP]["data"].keys() == placement.STORE_ENVIRONMENT.keys()
    for stage in placement.Stage.__args__:  # type: ignore[attr-defined]
        secret = found["Secret", placement.credentials_secret(stage)]
        assert secret["data"].keys() == placement.CREDENTIALS.keys()


@pytest.mark.parametrize("ci", CI)
def test_settings_of_the_examples_are_settings(render: Render, ci: str, tmp_path: Path) -> None:
    values = yaml.safe_load(CI[ci].read_text())
    maps = {e["metadata"]["name"]: e["data"] for e in render(ci=ci)["store/configmap.yaml"]}
    file = tmp_path / "config.yaml"
    file.write_text(maps["spice-config"]["config.yaml"])
    environ = {placement.STORE_ENVIRONMENT[key]: value for key, value in maps["spice-store"].items()}
    resolved = resolve(values.get("preset", "laptop"), file, environ).config
    assert resolved.store.url == values.get("store", {}).get("url", "s3://spice")
    assert values.get("preset", "laptop") in presets()


def test_containers_call_verbs_and_options_that_exist(manifests: list[Manifest], pod_specs: PodSpecs) -> None:
    calls = [
        (name, container["command"])
        for name, pod in pod_specs(manifests)
        for container in [*pod["spec"]["containers"], *pod["spec"].get("initContainers", [])]
        if container.get("command", [""])[0] == "spice"
    ]
    assert calls
    for name, (_, verb, *words) in calls:
        assert verb in cli.VERBS, name
        command = cli.load(verb)
        # A group such as `console` may also take options of its own and do its work without a further word.
        if isinstance(command, TyperGroup) and words and not words[0].startswith("-"):
            command = command.commands[words.pop(0)]
        # Parses as a call would, and runs nothing; what does not fit is a usage error.
        command.make_context(f"{name}: spice {verb}", words)


def test_environment_of_the_containers_is_understood(manifests: list[Manifest], pod_specs: PodSpecs) -> None:
    for name, pod in pod_specs(manifests):
        for container in pod["spec"]["containers"]:
            environ = {each["name"]: each.get("value", "") for each in container.get("env", ())}
            environ |= {"SPICE_STORE__URL": "s3://spice", "SPICE_STORE__SECURE": "true"}
            assert resolve(None, None, environ).config.store.secure is True, name
