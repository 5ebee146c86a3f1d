"""The chart, rendered offline by Helm: its own library, or the program that HELM names."""

from __future__ import annotations

import contextlib
import copy
import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

CHART = Path(__file__).parents[2] / "helm/spice"
CI = {path.name.removesuffix("-values.yaml"): path for path in sorted((CHART / "ci").glob("*-values.yaml"))}

Manifest = dict[str, Any]
Render = Callable[..., dict[str, list[Manifest]]]


class StrictLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Refuses a key that is given twice, as the API server does."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key) for key, _ in node.value]
        assert len(keys) == len(set(keys)), f"a key is given twice:{node.start_mark}"
        return super().construct_mapping(node, deep)


@pytest.fixture(scope="session")
def render(helm_program: Any) -> Iterator[Render]:
    """Renders the chart: template's path below templates/ -> its manifests; with the release `spice` in `spice`."""
    examples: dict[str, dict[str, list[Manifest]]] = {}
    with contextlib.ExitStack() as running:
        if helm_program is not None:
            template = functools.partial(helm_program.render, CHART)
        else:
            helm = pytest.importorskip("helm_python", reason="NO HELM: install helm-python-sdk (the dev extra)")
            template = functools.partial(running.enter_context(helm.Chart.load(CHART)).render, namespace="spice")

        def rendered(values: dict[str, Any] | None = None, *, ci: str = "") -> dict[str, list[Manifest]]:
            if values is None and ci in examples:
                return copy.deepcopy(examples[ci])
            given = {**(yaml.safe_load(CI[ci].read_text()) if ci else {}), **(values or {})}
            found = {
                path.removeprefix("spice/templates/"): [each for each in yaml.load_all(text, StrictLoader) if each]
                for path, text in template(given, name="spice").items()
                if not path.endswith("NOTES.txt")
            }
            if values is None:
                examples[ci] = copy.deepcopy(found)
            return found

        yield rendered


@pytest.fixture(scope="session", params=CI)
def manifests(request: pytest.FixtureRequest, render: Render) -> list[Manifest]:
    """All manifests of one of ci/*-values.yaml."""
    return [each for found in render(ci=request.param).values() for each in found]


@pytest.fixture(scope="session")
def pod_specs() -> Callable[[list[Manifest]], Iterator[tuple[str, Manifest]]]:
    """Gives name and pod template of everything that makes pods."""
    return _pod_specs


def _pod_specs(manifests: list[Manifest]) -> Iterator[tuple[str, Manifest]]:
    for each in manifests:
        name = f"{each['kind']}/{each['metadata']['name']}"
        if each["kind"] == "Pod":
            yield name, each
        elif each["kind"] in ("Deployment", "StatefulSet", "Job"):
            yield name, each["spec"]["template"]
        elif each["kind"] == "ClusterTrainingRuntime":
            for job in each["spec"]["template"]["spec"]["replicatedJobs"]:
                yield name, job["template"]["spec"]["template"]
