"""`make sbom`: what an image holds, for whoever must know without pulling it."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
IMAGES = ["console", "cpu", "gpu"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The lists."""
    pytest.importorskip("cyclonedx_py", reason="NO CYCLONEDX: install cyclonedx-bom (the dev extra)")
    out = tmp_path_factory.mktemp("sbom")
    done = subprocess.run(
        [sys.executable, "scripts/sbom.py", out], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return out


def sbom(folder: Path, image: str) -> dict[str, Any]:
    return dict(json.loads((folder / f"spice-{image}.cdx.json").read_text()))


@pytest.mark.parametrize("image", IMAGES)
def test_it_lists_every_package_of_the_lock(folder: Path, image: str) -> None:
    lines = (ROOT / f"components/locks/{image}.txt").read_text().splitlines()
    locked = {tuple(line.split("==")) for line in lines if line and not line.startswith("#")}
    found = sbom(folder, image)["components"]
    assert {(each["name"], each["version"]) for each in found} == locked
    assert all(each["purl"].startswith("pkg:pypi/") for each in found)


@pytest.mark.parametrize("image", IMAGES)
def test_it_says_what_it_is_a_list_of_and_not_when(folder: Path, image: str) -> None:
    found = sbom(folder, image)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert found["bomFormat"] == "CycloneDX"
    assert found["metadata"]["component"]["name"] == project["name"]
    assert "timestamp" not in found["metadata"]
