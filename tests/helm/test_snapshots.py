"""Every template, as it was last looked at. `pytest tests/helm --snapshot-update` takes what there is now."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from syrupy.assertion import SnapshotAssertion

CHART = Path(__file__).parents[2] / "helm/spice"
CI = {path.name.removesuffix("-values.yaml"): path for path in sorted((CHART / "ci").glob("*-values.yaml"))}
Manifest = dict[str, Any]
Render = Callable[..., dict[str, list[Manifest]]]

TEMPLATES = sorted(path.relative_to(CHART / "templates").as_posix() for path in (CHART / "templates").rglob("*.yaml"))
# Owned by monitoring, and tested there.
FROM_FILES = {"monitoring/rules.yaml", "monitoring/dashboards.yaml"}


@pytest.mark.parametrize("template", [each for each in TEMPLATES if each not in FROM_FILES])
@pytest.mark.parametrize("ci", CI)
def test_template(render: Render, snapshot: SnapshotAssertion, ci: str, template: str) -> None:
    # Helm itself sorts what one file makes by kind; its library does not.
    found = sorted(map(_stable, render(ci=ci).get(template, [])), key=lambda e: (e["kind"], e["metadata"]["name"]))
    assert yaml.safe_dump_all(found, sort_keys=True, width=120) == snapshot


def test_the_release_does_not_change_by_itself(render: Render) -> None:
    first, second = ({path: [*map(_stable, found)] for path, found in render({}).items()} for _ in range(2))
    assert first == second


def _stable(manifest: dict[str, Any]) -> dict[str, Any]:
    """Without generated passwords."""
    if manifest["kind"] == "Secret":
        assert len(manifest["data"]["secret-key"]) >= 50
        return {**manifest, "data": {**manifest["data"], "secret-key": "(generated)"}}
    return manifest
